"""Gateways: results for PLC and SCADA in their own languages, each in a process of its own.

Fed by the ordered client with a cursor in the journal; the line does not know that they are there.
"""
