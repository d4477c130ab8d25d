"""The OPC UA gateway: a server after OPC 40100-1 Machine Vision."""
