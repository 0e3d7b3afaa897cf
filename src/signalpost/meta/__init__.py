"""HTTP to Meta: the Conversions API and nothing else."""
