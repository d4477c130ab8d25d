"""The live page: the newest picture and verdict of each camera, and how the line is."""
