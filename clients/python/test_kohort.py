"""Against a running service: KOHORT_URL and KOHORT_TOKEN name it. `python3 -m unittest` in this folder."""

import os
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from kohort import Kohort, KohortError, Unreachable

URL = os.environ["KOHORT_URL"]
TOKEN = os.environ["KOHORT_TOKEN"]


class AgainstAService(unittest.TestCase):
    def setUp(self) -> None:
        self.kohort = Kohort(URL, TOKEN)
        self.addCleanup(self.kohort.close)
        self.user = f"ext:python/{self.id()} ä%"
        self.kohort.change_user(self.user, attributes={"country": "NL"})

    def test_reads_what_it_changes(self) -> None:
        self.assertEqual(self.kohort.segments_of(self.user), [])
        self.kohort.add(self.user, "PYTHON", ttl=3600)
        self.assertEqual(self.kohort.segments_of(self.user), ["PYTHON"])
        self.assertTrue(self.kohort.is_in(self.user, "PYTHON"))
        self.assertFalse(self.kohort.is_in(self.user, "NO_SUCH_SEGMENT"))
        self.assertEqual(self.kohort.why(self.user, "PYTHON")["source"], "include")
        self.assertEqual([one["slug"] for one in self.kohort.memberships(self.user)], ["PYTHON"])
        self.kohort.override(self.user, "PYTHON", "exclude")
        self.assertEqual(self.kohort.why(self.user, "PYTHON")["source"], "exclude")
        self.kohort.override(self.user, "PYTHON", "auto")
        self.kohort.remove(self.user, "PYTHON")
        self.assertFalse(self.kohort.is_in(self.user, "PYTHON"))
        actions = [one["action"] for one in self.kohort.history(self.user, segment="PYTHON")]
        self.assertEqual(actions[-1], "add")

    def test_changes_users(self) -> None:
        changed = self.kohort.change_user(self.user, name="Sam", attributes={"orders": 3, "country": None})
        self.assertEqual((changed["name"], changed["attributes"]), ("Sam", {"orders": 3}))
        self.assertEqual(self.kohort.user(self.user), changed)

    def test_resolves_any_number_of_users(self) -> None:
        self.kohort.add(self.user, "PYTHON")
        strangers = [f"ext:stranger-{i}" for i in range(1000)]
        results = self.kohort.resolve([self.user, *strangers], ["PYTHON"])
        self.assertEqual(results[0], {"user": self.user, "segments": ["PYTHON"]})
        self.assertEqual({one["segments"] for one in results[1:]}, {None})

    def test_raises_what_the_service_says(self) -> None:
        with self.assertRaises(KohortError) as raised:
            self.kohort.segments_of("ext:nobody")
        self.assertEqual((raised.exception.status, raised.exception.code), (404, "user_unknown"))
        with self.assertRaises(KohortError) as raised:
            self.kohort.add(self.user, "!")
        self.assertEqual((raised.exception.code, raised.exception.errors[0]["path"]), ("invalid", "/body/slug"))
        self.assertTrue(raised.exception.request_id)
        with self.assertRaises(Unreachable):
            Kohort("http://127.0.0.1:9", retries=0).segments_of("2")
        with self.assertRaises(ValueError):
            Kohort("localhost:8000")


class Retries(unittest.TestCase):
    """Against a server that refuses as often as it is told to."""

    def setUp(self) -> None:
        self.refusals = 0
        self.asked = 0
        test = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                test.asked += 1
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                refused = test.asked <= test.refusals
                body = b'{"code": "outcome_unknown"}' if refused else b'{"segments": [], "status": "ok"}'
                self.send_response(503 if refused else 200)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.kohort = Kohort(f"http://127.0.0.1:{self.server.server_port}")

    def test_reads_are_tried_again(self) -> None:
        self.refusals = 2
        self.assertEqual(self.kohort.segments_of("2"), [])
        self.assertEqual(self.asked, 3)

    def test_what_might_happen_twice_is_not(self) -> None:
        self.refusals = 1
        with self.assertRaises(KohortError):
            self.kohort.add("2", "PYTHON")
        self.assertEqual(self.asked, 1)


if __name__ == "__main__":
    unittest.main()
