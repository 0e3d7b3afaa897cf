"""What mutants showed that no other test of mapping asked about."""
