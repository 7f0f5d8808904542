"""The page: what people see of the service, made here and improved by a small script where there is one."""
