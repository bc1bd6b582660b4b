"""What SIGTERM raises in a command."""


class Stopped(BaseException):
    """Somebody asked this process to end; what it had begun is taken back.

    Its argument, where it has one, says what is to be known of what was stopped.
    """
