"""The verbs in Python: what each subcommand does, as one function. The rooms behind them have finer tools."""
