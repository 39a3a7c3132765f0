"""What is recorded of every request, and where: records, their hashes, the chain that shows tampering, the devices."""
