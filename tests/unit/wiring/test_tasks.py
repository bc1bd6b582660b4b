"""What carries out tasks on a server, put together."""

from penstock.access.quotas import SqlQuotas
from penstock.core.access import Quotas
from penstock.wiring.server import open_server
from penstock.wiring.settings import read_settings
from penstock.wiring.tasks import open_task_attempts


def test_files_have_the_room_that_the_quota_leaves_them(tmp_path):
    settings = read_settings({"PENSTOCK_HOME": str(tmp_path)})
    with open_server(settings, create=True) as server:
        workspace, _ = server.workspaces.create("acme", admin="ada")
        with open_task_attempts(settings, strict=server.sandbox) as attempts:
            most = Quotas().stored_bytes_max
            assert attempts.parts.files_room(workspace.id) == most
            quotas = SqlQuotas(server.clock)
            server.database.write(lambda tx: quotas.add_stored(tx, workspace.id, 1_000))
            assert attempts.parts.files_room(workspace.id) == most - 1_000
