"""What whole configurations of the station are worth on marked pictures: `station evaluate`. Needs the extra."""
