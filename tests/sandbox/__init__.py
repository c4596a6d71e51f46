"""The sandbox behaves as the vendors do, and fails as it is told."""
