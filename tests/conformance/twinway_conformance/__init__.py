"""What every driver must do, as a pytest plugin."""
