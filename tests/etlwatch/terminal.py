"""A terminal without a terminal: a driver that feeds what an app writes to an emulator."""

import pyte
from textual import events
from textual.driver import Driver
from textual.geometry import Size


class EmulatedDriver(Driver):
    """Writes to a `pyte` screen; Textual treats it as a real terminal."""

    def __init__(self, app, *, debug=False, mouse=True, size=None):
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        width, height = size or (80, 24)
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)
        self.written = []

    @property
    def is_headless(self):
        return False

    @property
    def can_suspend(self):
        return True

    def write(self, data):
        self.written.append(data)
        self.stream.feed(data)

    def start_application_mode(self):
        self.send_size(*self._size)

    def send_size(self, width, height):
        size = Size(width, height)
        self.process_message(events.Resize(size, size))

    def resize(self, width, height):
        """Give the terminal another size; what it then shows is anybody's guess, so fill it with rubbish."""
        self.screen.resize(height, width)
        self.deface()
        self.send_size(width, height)

    def deface(self):
        """Cover the screen with what another program may have left there."""
        for y in range(self.screen.lines):
            self.stream.feed(f"\x1b[0;31m\x1b[{y + 1}H" + "#" * self.screen.columns)
        self.stream.feed("\x1b[0m\x1b[H")

    def disable_input(self):
        pass

    def stop_application_mode(self):
        pass

    def suspend_application_mode(self):
        self.deface()

    def resume_application_mode(self):
        pass


def looks(screen):
    """Return what a screen shows, cell by cell: character, colours and attributes."""
    shown = []
    for y in range(screen.lines):
        line = []
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            look = (cell.bg, cell.reverse, cell.underscore, cell.strikethrough)
            # The colour and weight of a blank are not to be seen.
            if cell.data != " ":
                look = (*look, cell.fg, cell.bold, cell.italics)
            line.append((cell.data, look))
        shown.append(line)
    return shown


def plain_path(app):
    """Return what a fresh terminal shows after Textual's own full update of the app's present screen."""
    size = app.size
    screen = pyte.Screen(size.width, size.height)
    compositor = app.screen._compositor
    pending = set(compositor._dirty_regions)
    update = compositor.render_update(full=True, screen_stack=app._background_screens)
    # A full update counts as a frame; looking must not swallow one that is still to come.
    compositor._dirty_regions.update(pending)
    pyte.Stream(screen).feed(update.render_segments(app.console))
    return looks(screen)
