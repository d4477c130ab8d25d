"""The gateway to an MQTT broker: JSON for everybody, Sparkplug B for SCADA."""
