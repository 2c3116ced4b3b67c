"""Certificates for tests: an authority of one's own, by the openssl command."""
import pathlib
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Everything lies in `folder`; its certificate is ca.crt."""

    def __init__(self, folder, name="tests"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, *alternatives, days=2):
        """(certificate, key) with subject alternative names like "DNS:localhost" or "URI:spiffe://test/router"."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=" + ",".join(alternatives) + "\n" if alternatives else "basicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", cert)
        return cert, key

    def issue_role(self, role, name=None):
        """What a process of the cluster needs: flags with its own certificate, key and this authority."""
        cert, key = self.issue(name or role, f"URI:spiffe://test/bessemer/{role}")
        return ["--peer-cert", str(cert), "--peer-key", str(key), "--peer-ca", str(self.cert)]
