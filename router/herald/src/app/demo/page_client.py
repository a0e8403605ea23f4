"""Fetches argv[1], through no proxy, and writes what comes to standard output."""

import sys
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=10).read())
