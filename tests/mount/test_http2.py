"""HTTP/2 over TLS from nginx: one connection for all, certificates checked, bytes right."""
import os
import socket
import subprocess

import harness

SIZE = 3_000_000


class Http2(harness.Case):
    concurrent = True

    def setUp(self):
        super().setUp()
        self.root = self.fresh("www")
        self.root.mkdir()
        self.files = {"face_%d.stl" % i: os.urandom(SIZE) for i in range(1, 5)}
        for name, data in self.files.items():
            (self.root / name).write_bytes(data)
        self.cert, self.key = self.fresh("cert.pem"), self.fresh("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(self.key),
                        "-out", str(self.cert), "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        http = ("server { listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s; root %s;"
                " access_log %s/h2.log h2; }" % (self.port, self.cert, self.key, self.root, self.root))
        self.nginx(self.root, http="log_format h2 '$server_protocol $connection $status $uri'; " + http)
        self.list = self.root / "list.txt"
        self.list.write_text("".join("https://127.0.0.1:%d/%s\n" % (self.port, n) for n in sorted(self.files)))

    def settings(self, **network):
        return {"sources": [harness.manifest("https://127.0.0.1:%d/list.txt" % self.port)],
                "network": {"timeout": "3s", "retry_for": "3s", **network}}

    def test_reads_share_one_connection(self):
        mount = self.mount(self.settings(ca_file=str(self.cert)))
        readers = [subprocess.Popen(["cat", str(mount.path / "datasets/FacialModels" / n)], stdout=subprocess.PIPE)
                   for n in self.files]
        for reader, data in zip(readers, self.files.values()):
            self.assertEqual(reader.communicate(timeout=30)[0], data)
        mount.unmount()
        lines = [line.split() for line in (self.root / "h2.log").read_text().splitlines()]
        shapes = [line for line in lines if line[3].endswith(".stl")]
        self.assertGreaterEqual(len(shapes), 4)
        self.assertEqual({line[0] for line in shapes}, {"HTTP/2.0"})
        self.assertEqual(len({line[1] for line in shapes}), 1)

    def test_an_unknown_certificate_is_refused(self):
        made = self.program("refresh", "--config", self.config(self.settings()), check=False)
        self.assertEqual(made.returncode, 1)
        self.assertRegex(made.stderr, "(?i)certificate")
