"""What flows through the gateway: frozen data. Parses and serialises, decides nothing."""
