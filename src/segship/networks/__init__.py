"""What every network has, whoever wrote its layers."""
