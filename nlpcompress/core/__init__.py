"""What every other package stands on: configs, edits, plans, methods, tables, budgets. No torch."""
