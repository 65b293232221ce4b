# A FUSE file system with one file, `disk`, that keeps a log of every write and flush: what a disk behind it was asked to do.
# usage: block-log.py MOUNTPOINT IMAGE LOG. The image is where it begins from and is never written. A text written to the file
# `mark` is a mark in the log. Records: kind (1 byte: W, F, M), offset (8), length (4), little-endian, then the bytes.
# It ends when it is unmounted, or when the process that started it is gone.
import errno, os, stat, struct, sys, threading, time
try:
    from fusepy import FUSE, FuseOSError, Operations
except ImportError:
    from fuse import FUSE, FuseOSError, Operations

mountpoint, image, log_path = sys.argv[1:4]
parent = os.getppid()

def load(path):
    size = os.path.getsize(path)
    data, at = bytearray(size), 0
    with open(path, 'rb') as file:
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            data[at:end] = os.pread(file.fileno(), end - at, at)
            at = end
    return data

class Disk(Operations):
    def __init__(self):
        self.data, self.lock = load(image), threading.Lock()
        self.log = open(log_path, 'wb', buffering=1 << 20)

    def record(self, kind, offset, data):
        self.log.write(struct.pack('<cQI', kind, offset, len(data)))
        self.log.write(data)

    def getattr(self, path, fh=None):
        if path == '/':
            return dict(st_mode=stat.S_IFDIR | 0o700, st_nlink=2)
        if path not in ('/disk', '/mark'):
            raise FuseOSError(errno.ENOENT)
        size = len(self.data) if path == '/disk' else 0
        return dict(st_mode=stat.S_IFREG | 0o600, st_nlink=1, st_size=size)

    def readdir(self, path, fh):
        return ['.', '..', 'disk', 'mark']

    def open(self, path, flags):
        return 1

    def truncate(self, path, length, fh=None):
        return 0

    def read(self, path, length, offset, fh):
        return bytes(self.data[offset:offset + length]) if path == '/disk' else b''

    def write(self, path, data, offset, fh):
        with self.lock:
            if path == '/mark':
                self.record(b'M', 0, data)
                self.log.flush()
            else:
                self.data[offset:offset + len(data)] = data
                self.record(b'W', offset, data)
        return len(data)

    def fsync(self, path, datasync, fh):
        with self.lock:
            if path == '/disk':
                self.record(b'F', 0, b'')
            self.log.flush()
        return 0

    def flush(self, path, fh):
        with self.lock:
            self.log.flush()
        return 0

    def destroy(self, path):
        self.log.flush()

def watch():
    while os.getppid() == parent:
        time.sleep(1)
    os.system('fusermount3 -uz %s 2>/dev/null || umount -l %s' % (mountpoint, mountpoint))
    os._exit(1)

threading.Thread(target=watch, daemon=True).start()
FUSE(Disk(), mountpoint, foreground=True, nothreads=True, big_writes=True)
