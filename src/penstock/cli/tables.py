"""`penstock tables`."""

from __future__ import annotations

import click

from penstock.base.text import count, size
from penstock.cli.place import View, json_option, open_place, server_option
from penstock.cli.rows import print_json, print_rows
from penstock.cli.run_texts import aligned

_COLUMNS = ["name", "project", "task", "snapshot", "published_at", "published_by"]


class _TablesGroup(click.Group):
    """A group whose first word may be the name of a table; what stands before it holds for the command, too."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        words = args if not args or args[0] in self.commands or args[0].startswith("-") else ["show", *args]
        name, found, rest = super().resolve_command(ctx, words)
        known = {option for each in found.params for option in each.opts} if found is not None else set()
        before = {"--server": ctx.params.get("server"), "--json": ctx.params.get("as_json")}
        return name, found, [*(option for option, is_set in before.items() if is_set and option in known), *rest]


@click.group(
    name="tables", cls=_TablesGroup, invoke_without_command=True, subcommand_metavar="[NAME | COMMAND] [ARGS]..."
)
@server_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, server: bool, as_json: bool) -> None:
    """List the tables that are published; with NAME, its columns and the snapshots that readers have seen.

    \b
    Examples:
      penstock tables
      penstock tables marts.daily_sales
      penstock tables maintain marts.daily_sales
    """
    if ctx.invoked_subcommand is not None:
        return
    with open_place(server=server) as place:
        found = place.tables()
    print_rows(found, _COLUMNS, as_json=as_json, empty="there is no table yet; make some: penstock run")


@command.command()
@click.argument("name")
@click.option(
    "--history", "snapshots", type=click.IntRange(1, 200), default=10, show_default=True, help="How many snapshots."
)
@server_option
@json_option
def show(*, name: str, snapshots: int, server: bool, as_json: bool) -> None:
    """Show the columns of table NAME and the snapshots that readers have seen, newest first.

    \b
    Examples:
      penstock tables show marts.daily_sales
      penstock tables marts.daily_sales --history 50
    """
    with open_place(server=server) as place:
        table = place.table(name)
        history = place.history(name, count=snapshots)
    if as_json:
        print_json({**table, "history": list(history)})
        return
    _describe(table, list(history))


@command.command()
@click.argument("name", required=False)
@server_option
@json_option
def maintain(*, name: str | None, server: bool, as_json: bool) -> None:
    """Compact small files, expire old snapshots and delete what nothing refers to: of table NAME, or of all.

    \b
    Examples:
      penstock tables maintain
      penstock tables maintain marts.daily_sales --server
    """
    with open_place(server=server) as place:
        done = place.maintain(name)
    if as_json:
        print_json(list(done))
        return
    for each in done:
        expired, deleted = count(each["snapshots_expired"], "snapshot"), count(each["files_deleted"], "file")
        files = f"{each['files_before']:,} files, now {each['files_after']:,}"
        click.echo(f"{each['table']}: {files}; {expired} expired, {deleted} deleted")
    if not done:
        click.echo("there is no table yet", err=True)


def _describe(table: View, history: list[View]) -> None:
    partitions = f", partitioned by {', '.join(table['partition_by'])}" if table["partition_by"] else ""
    click.echo(f"table      {click.style(table['name'], bold=True)}, written by {table['project']}/{table['task']}")
    files = f"{count(table['rows'], 'row')} in {count(table['files'], 'file')}, {size(table['size_bytes'])}{partitions}"
    click.echo(f"holds      {files}")
    click.echo("")
    for line in aligned([[column["name"], column["type"]] for column in table["columns"]] or [["no columns yet", ""]]):
        click.echo(f"  {line}")
    if not history:
        return
    click.echo("")
    cells = [
        [
            each["snapshot"],
            (each["published_at"] or "")[:19],
            f"{each['rows']:,}",
            each["mode"],
            each["run"],
            "expired" if each["expired"] else "readers see it" if each["snapshot"] == table["snapshot"] else "",
        ]
        for each in history
    ]
    head, *lines = aligned([["snapshot", "published", "rows", "by", "run", ""], *cells])
    click.echo(click.style(head, bold=True))
    for line in lines:
        click.echo(line)
