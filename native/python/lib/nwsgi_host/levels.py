"""Levels of Apache's error log."""

CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG = 2, 3, 4, 5, 6, 7


def of_logging(number):
    """The level for one of the logging module; those between two count as the lower one."""
    if number >= 50:
        return CRITICAL
    if number >= 40:
        return ERROR
    if number >= 30:
        return WARNING
    return INFO if number >= 20 else DEBUG
