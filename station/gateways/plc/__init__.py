"""Results for a PLC in words of its memory: one table, one handshake, over Modbus TCP, S7 or ADS."""
