"""What is really at a server, seen in the directory that it serves: which names there are, and what has become of every
file that ever was there, also of one that has no name any more.

It keeps a descriptor of every file, so that no other file gets its number, and to look at it to the end."""

import os
import stat

HIDDEN = '.ninefs-'  # the name that an open file has on some servers after it was removed


def read_whole(fd):
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b''.join(parts)


class View:
    """One look: names (directory's number, name) -> number, paths -> number, and facts of each number."""

    def __init__(self, names, paths, facts):
        self.names, self.paths, self.facts = names, paths, facts


class Truth:
    def __init__(self, top, fresh):
        self.top = top
        self.fresh = fresh  # clients remember no names
        self.fds = {}
        self.names_ever = {}  # (directory's number, name) -> numbers of what ever had it
        self.paths_ever = {}  # path -> the same
        self.view = None
        self.look()

    def _know(self, path, seen):
        if seen.st_ino not in self.fds:
            kind = os.O_DIRECTORY if stat.S_ISDIR(seen.st_mode) else 0
            self.fds[seen.st_ino] = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | kind)

    def _walk(self):
        names, paths = {}, {(): os.lstat(self.top).st_ino}
        self._know(self.top, os.lstat(self.top))
        todo = [()]
        while todo:
            directory = todo.pop()
            at = os.path.join(self.top, *directory)
            for name in os.listdir(at):
                path = os.path.join(at, name)
                seen = os.lstat(path)
                self._know(path, seen)
                names[paths[directory], name] = seen.st_ino
                paths[(*directory, name)] = seen.st_ino
                if stat.S_ISDIR(seen.st_mode):
                    todo.append((*directory, name))
        return names, paths

    def _facts(self, fd):
        seen = os.fstat(fd)
        facts = {
            'mode': oct(seen.st_mode),
            'owner': (seen.st_uid, seen.st_gid),
            'mtime': seen.st_mtime_ns,
            'attributes': {name: os.getxattr(fd, name) for name in os.listxattr(fd)},
        }
        if stat.S_ISREG(seen.st_mode):
            facts['content'] = read_whole(fd)
        return facts

    def look(self):
        """What there is now; the view before is returned."""
        before = self.view
        names, paths = self._walk()
        for key, number in names.items():
            self.names_ever.setdefault(key, set()).add(number)
        for path, number in paths.items():
            self.paths_ever.setdefault(path, set()).add(number)
        self.view = View(names, paths, {number: self._facts(fd) for number, fd in self.fds.items()})
        return before

    def is_directory(self, number):
        return stat.S_ISDIR(os.fstat(self.fds[number]).st_mode)

    def meant_by(self, path):
        """All that a client may take the path for, which remembers any directory on the way by any of its names."""
        if self.fresh:
            return {self.view.paths[path]} if path in self.view.paths else set()
        found = set(self.paths_ever[()])
        for name in path:
            found = {number for at in found for number in self.names_ever.get((at, name), ())}
        return found | self.paths_ever.get(path, set())

    def named(self, directory, name):
        """All that a client may take the name in this directory for."""
        if self.fresh:
            return {self.view.names[directory, name]} if (directory, name) in self.view.names else set()
        return self.names_ever.get((directory, name), set())

    def renamed(self, directory, old, new):
        """A client renamed what had the old name. It takes the new one for whatever it took the old one for."""
        self.names_ever.setdefault((directory, new), set()).update(self.names_ever.get((directory, old), ()))

    def some_path(self, choose, kind):
        """One of the paths that lead to a 'file' or to a 'directory' now; None where there is none."""
        wants = kind == 'directory'
        paths = [path for path, number in self.view.paths.items() if path and self.is_directory(number) == wants]
        paths = [path for path in paths if not path[-1].startswith(HIDDEN)]
        return choose(sorted(paths)) if paths else None

    def close(self):
        for fd in self.fds.values():
            os.close(fd)


def changed_names(before, after):
    """Names that came, went, or are another file's now, but for the hidden ones."""
    keys = before.names.keys() | after.names.keys()
    return {key for key in keys if before.names.get(key) != after.names.get(key) and not key[1].startswith(HIDDEN)}


def changed_files(before, after):
    """number -> fields, of what was there before. Times of a directory move with the names in it."""
    moved = {directory for (directory, _), _ in before.names.items() ^ after.names.items()}
    found = {}
    for number, facts in before.facts.items():
        now = after.facts[number]
        fields = [field for field in facts if facts[field] != now[field] and not (field == 'mtime' and number in moved)]
        if fields:
            found[number] = fields
    return found
