"""The command line without a service: what it refuses, in which words, with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from converters import ocr
from relay.app import open_house
from relay.cli import faxrelay
from relay.fax import Outbound
from relay.settings import load
from relay.store import faxes, holds, queue
from relay.store.tables import document, fax

DOCUMENTS = Path(__file__).parents[1] / "data" / "documents"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that a service has used."""
    with open_house(load(environment={"FAXRELAY_DATA": str(tmp_path / "data")})):
        return tmp_path / "data"


def run(data: Path, *arguments: str) -> Result:
    """Run a command on a data directory."""
    return CliRunner().invoke(faxrelay, arguments, env={"FAXRELAY_DATA": str(data)})


def test_a_mistyped_data_directory_is_said_and_not_made(tmp_path: Path) -> None:
    """Lost otherwise: a fax is 'accepted' into a folder from which nothing is ever sent."""
    done = run(tmp_path / "typo", "fax", "list")
    assert done.exit_code == 4
    assert "holds no relay's data" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_a_fax_that_waits_for_a_service_says_so(data: Path) -> None:
    """Lost otherwise: an admin waits for a fax that nobody sends."""
    done = run(data, "fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", "037654321")
    assert done.exit_code == 0
    assert "no service is running" in done.stderr
    assert "+97237654321" in run(data, "fax", "list").stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"MZ" + b"\0" * 40, "is not what its name says: it is a program. Please send it as a PDF."),
        (b"", "is empty"),
        (b"%PDF-1.4\n" + b"\0" * (11 * 1024 * 1024), "bytes; the policy takes 10,485,760"),
    ],
)
def test_a_file_that_cannot_be_faxed_is_refused_at_once(data: Path, tmp_path: Path, content: bytes, told: str) -> None:
    """Lost otherwise: 'accepted', and the refusal lands in somebody else's mailbox."""
    (tmp_path / "offer.docx").write_bytes(content)
    done = run(data, "fax", "send", str(tmp_path / "offer.docx"), "--to", "037654321")
    assert done.exit_code == 1
    assert told in done.stderr


def test_bad_numbers_and_too_many_are_refused(data: Path) -> None:
    """Lost otherwise: a typing error becomes a call."""
    page = str(DOCUMENTS / "one-page.pdf")
    assert "553 5.1.3" in run(data, "fax", "send", page, "--to", "12").stderr
    many = [word for index in range(101) for word in ("--to", f"+1202555{index:04d}")]
    assert "may send to 100 at once" in run(data, "fax", "send", page, *many).stderr


def test_a_fax_whose_document_was_refused_cannot_be_sent_again(data: Path) -> None:
    """Lost otherwise: the resend stays 'accepted' for ever."""
    made = run(data, "fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", "037654321", "--json")
    fax_id = json.loads(made.stdout)["faxes"][0]
    with open_house(load(environment={"FAXRELAY_DATA": str(data)})) as house:
        claim = house.store.write_now(queue.claim_document, queue.Lease("test"), house.clock())
        assert claim is not None
        columns = {"refusal": '"one-page.pdf" is protected by a password.'}
        house.store.write_now(lambda c: queue.keep(c, document, claim, **columns))
    run(data, "fax", "cancel", fax_id)
    done = run(data, "fax", "resend", fax_id)
    assert done.exit_code == 1
    assert "protected by a password" in done.stderr


def test_held_faxes_are_approved_and_refused_by_command(data: Path) -> None:
    """Lost otherwise: the administrator cannot help when those who may approve are away."""
    found = []
    for to in ("037654321", "036543210"):
        made = run(data, "fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", to, "--json")
        found.append(int(json.loads(made.stdout)["faxes"][0]))
    done = run(data, "fax", "approve", str(found[0]))
    assert done.exit_code == 1
    assert f"fax {found[0]} waits for nobody: it is accepted" in done.stderr
    with open_house(load(environment={"FAXRELAY_DATA": str(data)})) as house:
        needs = {"by": ["boss@example.com"], "seconds": 3600.0, "over_pages": None}
        house.store.write_now(lambda c: c.execute(fax.update().values(settings={"approval": needs})))
        for fax_id in found:
            house.store.write_now(faxes.move, house.ids, fax_id, Outbound.PREPARING, at=house.clock(), reason="")
        house.store.write_now(holds.ready, house.ids, found, 1, at=house.clock(), reason="ready")
    assert "it waits for approval by boss@example.com, until 20" in run(data, "fax", "show", str(found[0])).stdout
    assert run(data, "fax", "approve", str(found[0])).stdout == f"approved: {found[0]}\n"
    refused = run(data, "fax", "deny", str(found[1]), "--reason", "twice", "--json")
    assert json.loads(refused.stdout) == {"id": str(found[1]), "verdict": "deny", "faxes": [str(found[1])]}
    assert "it was not approved by the command line: twice" in run(data, "fax", "show", str(found[1])).stdout
    again = run(data, "fax", "deny", str(found[0]))
    assert again.exit_code == 1
    assert "it was approved by the command line on 20" in again.stderr


def test_explain_knows_the_fax_domains(data: Path) -> None:
    """Lost otherwise: `policy explain` accepts what the server refuses."""
    asked = ("policy", "explain", "--from", "alice@example.com", "--proof", "none", "--to")
    assert run(data, *asked, "037654321@fax.example.com").exit_code == 0
    foreign = run(data, *asked, "037654321@other.example")
    assert foreign.exit_code == 1
    assert "is not one of the policy's fax domains" in foreign.stderr


def test_the_schema_is_json(data: Path) -> None:
    """Lost otherwise: an editor cannot help with the policy files."""
    assert json.loads(run(data, "policy", "schema").stdout)["type"] == "object"


def test_a_sender_that_is_no_address_stops_the_start(tmp_path: Path) -> None:
    """Lost otherwise: the service starts well and no receipt ever leaves."""
    (tmp_path / "faxrelay.yaml").write_text("mail: {sender: nonsense}\n")
    done = CliRunner().invoke(faxrelay, ["--config", str(tmp_path / "faxrelay.yaml"), "serve"])
    assert done.exit_code == 1
    assert "mail.sender" in done.stderr


def test_a_database_that_cannot_be_reached_is_said_in_one_line(tmp_path: Path) -> None:
    """Lost otherwise: a traceback of forty lines for a wrong port."""
    (tmp_path / "faxrelay.yaml").write_text("database: postgresql+psycopg://nobody@127.0.0.1:1/none\n")
    done = CliRunner().invoke(faxrelay, ["--config", str(tmp_path / "faxrelay.yaml"), "serve"])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("faxrelay: database: ")
    assert "Traceback" not in done.stderr


def test_the_documented_json_is_what_the_commands_print(data: Path) -> None:
    """Lost otherwise: a program that reads `--json` breaks at an upgrade, or trusts a key that does not exist."""
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")

    def documented(section: str) -> set[str]:
        rows = [
            line for line in page.split(f"## `{section}")[1].split("\n## ")[0].splitlines() if line.startswith("| `")
        ]
        return {key.strip(" `") for row in rows for key in row.split("|")[1].split(",")}

    run(data, "fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", "037654321")
    (listed,) = json.loads(run(data, "fax", "list", "--json").stdout)
    shown = json.loads(run(data, "fax", "show", listed["id"], "--json").stdout)
    assert set(listed) == documented("faxrelay fax list --json")
    assert set(shown) == set(listed) | documented("faxrelay fax show ID --json")
    assert {"seq", "at", "kind", "before", "after", "reason", "detail"} == set(shown["history"][0])


def test_trunks_that_carry_no_call_are_told(data: Path) -> None:
    """Lost otherwise: the trunk is configured, the policy is 'good', and every fax goes to a simulated machine."""
    (data / "policies" / "trunks.yaml").write_text("trunks: [{name: carrier, host: sip.example.net}]\n")
    done = run(data, "policy", "check")
    assert done.exit_code == 0
    assert "its trunks carry no call" in done.stderr
    assert run(data, "policy", "check", str(data / "policies")).stderr == "", "a folder alone says nothing of a service"


def test_reading_that_this_machine_cannot_do_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the policy is 'good', and its received faxes cannot be searched."""
    monkeypatch.setattr(ocr, "missing", lambda languages: f"tesseract-ocr-heb for {languages}")
    assert run(data, "policy", "check").stderr == ""
    (data / "policies" / "more.yaml").write_text(
        "numbers: [{number: +97235550177, deliver_to: [a@example.com], ocr: true}]\n"
    )
    done = run(data, "policy", "check")
    assert done.exit_code == 0
    assert "apt-get install tesseract-ocr-heb for eng+heb" in done.stderr
    assert run(data, "policy", "check", str(data / "policies")).stderr == "", "a folder alone says nothing of a service"


def test_explain_tells_of_calls_that_come_in(tmp_path: Path) -> None:
    """Lost otherwise: an admin has to fax oneself to learn whether a block list holds."""
    (tmp_path / "p.yaml").write_text(
        "domains: [{name: fax.example.com, default_region: IL}]\n"
        "numbers: [{number: +97231234567, deliver_to: [a@example.com]}]\n"
        "inbound:\n  block: [{caller: +1900*}, {csid: '*spam*', junk: quarantine}]\n"
        "  routes: [{subaddress: '204', called: +97231234567, deliver_to: [room@example.com]}]\n"
    )
    asked = ("policy", "explain", "--folder", str(tmp_path), "--called", "03-1234567")
    refused = run(tmp_path, *asked, "--caller", "+19005550100")
    assert (refused.exit_code, "SIP 603" in refused.stdout) == (1, True)
    kept = run(tmp_path, *asked, "--caller", "+12025550123", "--csid", "SPAM Inc")
    assert (kept.exit_code, "quarantine" in kept.stdout) == (0, True)
    routed = json.loads(run(tmp_path, *asked, "--csid", "x", "--subaddress", "204", "--json").stdout)
    assert (routed["answered"], routed["deliver_to"]) == (True, ["room@example.com"])
    assert run(tmp_path, "policy", "explain", "--folder", str(tmp_path)).exit_code == 2
    assert run(tmp_path, *asked, "--from", "a@example.com").exit_code == 2
    assert run(tmp_path, "policy", "explain", "--from", "a@example.com").exit_code == 2


def test_a_fax_that_is_not_in_quarantine_is_not_released(data: Path) -> None:
    """Lost otherwise: a traceback, or a fax that is delivered twice."""
    made = run(data, "fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", "037654321", "--json")
    refused = run(data, "fax", "release", json.loads(made.stdout)["faxes"][0])
    assert (refused.exit_code, "only a fax in quarantine" in refused.stderr) == (1, True)


def test_files_are_converted_and_looked_at_without_a_service(tmp_path: Path) -> None:
    """Lost otherwise: what a fax costs and looks like is known only after it was sent."""
    out, seen = tmp_path / "out.tif", tmp_path / "out.png"
    files = [str(DOCUMENTS / name) for name in ("one-page.pdf", "fax.tif")]
    done = run(tmp_path, "convert", *files, "-o", str(out), "--preview", str(seen), "--report")
    assert done.exit_code == 0, done.output
    assert "one-page.pdf, page 1" in done.stdout
    assert "passed pixel by pixel" in done.stdout
    assert "on the line at 14400 bit/s" in done.stdout
    assert [path.name for path in sorted(tmp_path.glob("out*"))] == ["out-2.png", "out-3.png", "out.png", "out.tif"]
    told = json.loads(run(tmp_path, "convert", *files, "-o", str(out), "--json").stdout)
    assert told["size"] == out.stat().st_size
    assert [page["source"] for page in told["pages"]] == ["one-page.pdf", "fax.tif", "fax.tif"]


def test_a_file_that_cannot_be_converted_leaves_no_output(tmp_path: Path) -> None:
    """Lost otherwise: half a fax document lies there and is taken for a whole one."""
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\n nothing follows")
    done = run(tmp_path, "convert", str(tmp_path / "broken.pdf"), "-o", str(tmp_path / "out.tif"))
    assert done.exit_code == 1
    assert '"broken.pdf"' in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.pdf"]


def test_office_documents_are_converted_without_a_trace(tmp_path: Path) -> None:
    """Lost otherwise: what a letter will look like at the far end can be seen for PDFs alone."""
    letter = DOCUMENTS.parent / "formats" / "letter.docx"
    done = run(tmp_path / "none", "convert", str(letter), "-o", str(tmp_path / "out.tif"), "--json")
    assert done.exit_code == 0, done.output
    assert [page["source"] for page in json.loads(done.stdout)["pages"]] == ["letter.docx", "letter.docx"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
