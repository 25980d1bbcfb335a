"""The model to which trees.py compares a tree: what a local file system does when one process uses it."""

import errno
import os

LONGEST_NAME = 255


class File:
    def __init__(self, content, mode):
        self.content, self.mode, self.nlink = content, mode, 1
        self.mtime = None  # in nanoseconds, when it was set and nothing was written since

    def write(self, at, data):
        head = self.content[:at].ljust(at, b'\0')
        self.content, self.mtime = head + data + self.content[at + len(data) :], None

    def truncate(self, size):
        self.content, self.mtime = self.content[:size].ljust(size, b'\0'), None


class Link:
    def __init__(self, target):
        self.target, self.nlink = target, 1


class Directory:
    def __init__(self, mode=0o755):
        self.entries, self.mode = {}, mode
        self.removed = False


def refuse(code):
    raise OSError(code, os.strerror(code))


def enter(node):
    """What stands on the way to something else. No symlink here leads anywhere, some are too long for a name."""
    if isinstance(node, Link):
        refuse(errno.ENAMETOOLONG if len(node.target) > LONGEST_NAME else errno.ENOENT)
    return node if isinstance(node, Directory) else refuse(errno.ENOTDIR)


class Model:
    """What a local file system does: a path is a tuple of names."""

    def __init__(self, root=None):
        self.root = Directory() if root is None else root

    def at(self, path):
        node = self.root
        for name in path:
            enter(node)
            node = node.entries.get(name) or refuse(errno.ENOENT)
        return node

    def parent(self, path):
        node = enter(self.at(path[:-1]))
        return refuse(errno.ENOENT) if node.removed else node

    def directories(self):
        found, todo = [], [((), self.root)]
        while todo:
            path, node = todo.pop()
            found.append(path)
            todo.extend(((*path, name), child) for name, child in node.entries.items() if isinstance(child, Directory))
        return sorted(found)

    def add(self, path, node):
        entries = self.parent(path).entries
        if path[-1] in entries:
            refuse(errno.EEXIST)
        entries[path[-1]] = node

    def link(self, old, new):
        node = self.at(old)
        parent = self.parent(new)
        if new[-1] in parent.entries:
            refuse(errno.EEXIST)
        if isinstance(node, Directory):
            refuse(errno.EPERM)
        parent.entries[new[-1]] = node
        node.nlink += 1

    def write(self, path, content, mode):
        parent = self.parent(path)
        node = parent.entries.get(path[-1])
        if node is None:
            parent.entries[path[-1]] = File(content, mode)
        elif isinstance(node, Directory):
            refuse(errno.EISDIR)
        elif isinstance(node, Link):
            refuse(errno.ELOOP)  # O_NOFOLLOW
        else:
            node.truncate(0)
            node.write(0, content)

    def unlink(self, path):
        node = self.at(path)
        if isinstance(node, Directory):
            refuse(errno.EISDIR)
        del self.parent(path).entries[path[-1]]
        node.nlink -= 1

    def rmdir(self, path):
        node = self.at(path)
        if not isinstance(node, Directory):
            refuse(errno.ENOTDIR)
        if node.entries:
            refuse(errno.ENOTEMPTY)
        del self.parent(path).entries[path[-1]]
        node.removed = True

    def rename(self, old, new):
        self.parent(old)
        parent, node = self.parent(new), self.at(old)
        there = parent.entries.get(new[-1])
        if old == new[: len(old)] and len(new) > len(old):
            refuse(errno.EINVAL)
        if new == old[: len(new)] and len(new) < len(old):
            refuse(errno.ENOTEMPTY)
        if there is node:
            return
        if there is not None:
            if isinstance(node, Directory) and not isinstance(there, Directory):
                refuse(errno.ENOTDIR)
            if not isinstance(node, Directory) and isinstance(there, Directory):
                refuse(errno.EISDIR)
            if isinstance(there, Directory) and there.entries:
                refuse(errno.ENOTEMPTY)
            if isinstance(there, Directory):
                there.removed = True
            else:
                there.nlink -= 1
        del self.parent(old).entries[old[-1]]
        parent.entries[new[-1]] = node

    def chmod(self, path, mode):
        node = self.at(path)
        if not isinstance(node, File):
            refuse(errno.EXDEV)  # only files are asked for
        node.mode = mode
