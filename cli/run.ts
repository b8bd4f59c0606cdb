/**
 * Runs one command line: finds the command, checks arguments and flags, runs it, and prints a
 * failure once. Data goes to standard output, everything else to standard error. Returns the exit
 * status (docs/cli.md#exit-status).
 */
import { type Flags, readFlags, readSpan } from "./flag.ts";
import { unexpected } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Command, Context, Outcome, ParsedCommand } from "./command.ts";
import { connect } from "./connect.ts";
import { EXIT, type Failure, unknownName, usage } from "./failure.ts";
import { findCommand, flagsOf } from "./find.ts";
import { TIMEOUT_DEFAULT } from "./global-flag.ts";
import { formatGroup, formatHelp, formatOverview } from "./help.ts";
import { type Format, FORMATS, sayFailure, show } from "./show.ts";
import type { Style } from "./table.ts";
import { terminalSafe } from "../schema/terminal.ts";
import { watch, WATCH_FLAG } from "./watch.ts";
import type { World } from "./world.ts";

export async function runCommandLine(commands: readonly Command[], given: World): Promise<number> {
  const world: World = {
    ...given,
    out: (text) => given.out(terminalSafe(text)),
    err: (text) => given.err(terminalSafe(text)),
    ...(given.bar === undefined
      ? {}
      : {
          bar: {
            columns: given.bar.columns,
            draw: (line) => given.bar?.draw(line === null ? null : terminalSafe(line)),
          },
        }),
    ...(given.screen === undefined
      ? {}
      : {
          screen: {
            size: given.screen.size,
            draw: (lines) => given.screen?.draw(lines.map(terminalSafe)),
          },
        }),
  };
  const found = findCommand(commands, world.program, world.argv);
  if ("ok" in found) return fail(world, guessFormat(world.argv), found);
  if (found.kind === "overview") {
    world.out(formatOverview(commands));
    return EXIT.done;
  }
  if (found.kind === "group") {
    const asked = world.argv.some((word) => /^--?h(elp)?$/.test(word));
    const text = formatGroup(found.name, found.commands);
    if (asked) world.out(text);
    else world.err(text);
    return asked ? EXIT.done : EXIT.usage;
  }
  const { command, words } = found;
  if (command.reach === "raw") return command.run(world, words);
  const parsed = readFlags(flagsOf(command), world.argv, world.env);
  if (!parsed.ok) {
    return fail(world, guessFormat(world.argv), usage(withHelp(command, parsed.message)));
  }
  if (parsed.flags.on("help")) {
    world.out(formatHelp(command));
    return EXIT.done;
  }
  const context = prepare(world, command, parsed.flags, words);
  if ("ok" in context) return fail(world, guessFormat(world.argv), context);
  const outcome = await runOne(command, context);
  return typeof outcome === "number" ? outcome : fail(world, context.format, outcome);
}

/**
 * Answers are checked for their identifying keys only, so one of another version may lack a field:
 * that is reported without a stack. Before any request the same error is a bug, and is thrown.
 */
async function runOne(command: ParsedCommand, given: Context): Promise<number | Failure> {
  let url: string | null = null;
  const connect = (): Client | Failure => {
    const client = given.connect();
    if (!("ok" in client)) url = client.address.url;
    return client;
  };
  const context = { ...given, connect };
  try {
    if (command.reach === "offline") return await showOutcome(context, command.run(context));
    const client = connect();
    if ("ok" in client) return client;
    const round = (one: Context) => showOutcome(one, command.run(one, client));
    return await (isWatched(command, given.flags) ? watch(context, round) : round(context));
  } catch (error) {
    if (!(error instanceof TypeError) || url === null) throw error;
    if (given.flags.on("verbose")) given.world.err(`${String(error.stack)}\n`);
    return unexpected(url, "this version cannot read its answer (-v shows where)");
  }
}

async function showOutcome(context: Context, running: Outcome): Promise<number | Failure> {
  const outcome = await running;
  if (typeof outcome === "number" || "ok" in outcome) return outcome;
  await show(context, outcome);
  return EXIT.done;
}

function prepare(
  world: World,
  command: ParsedCommand,
  flags: Flags,
  words: readonly string[],
): Context | Failure {
  const given = flags.text("output") ?? "table";
  const { formats = [] } = command;
  const isOwn = formats.includes(given.toLowerCase());
  const format = isOwn ? "table" : FORMATS.find((one) => one === given.toLowerCase());
  if (format === undefined) return unknownName("output", given, [...FORMATS, ...formats]);
  if (words.length < command.words.min || words.length > command.words.max) {
    return usage(withHelp(command, formatCount(command, words)));
  }
  const timeout = readSpan("timeout", flags.text("timeout") ?? TIMEOUT_DEFAULT);
  if (!timeout.ok) return timeout;
  if (timeout.ms <= 0) return usage("--timeout: must be above 0");
  return {
    world,
    format,
    style: readStyle(world, flags),
    flags,
    words,
    timeoutMs: timeout.ms,
    timeoutGiven: flags.from("timeout") !== null,
    connect: () => {
      const lasts = isWatched(command, flags) || (command.lasts?.(flags) ?? false);
      return connect(world, flags, timeout.ms, lasts);
    },
  };
}

function isWatched(command: ParsedCommand, flags: Flags): boolean {
  if (command.watches === true) return true;
  return command.flags.includes(WATCH_FLAG) && flags.on(WATCH_FLAG.name);
}

function readStyle(world: World, flags: Flags): Style {
  const { env, tty } = world;
  const plain = flags.on("no-color") || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return { color: tty && !plain, columns: tty ? world.columns : null };
}

function formatCount(command: ParsedCommand, words: readonly string[]): string {
  const name = command.name.join(" ");
  if (words.length < command.words.min) return `${name} needs ${command.usage}`;
  return `${name}: unexpected ${JSON.stringify(words[command.words.max] ?? "")}`;
}

function withHelp(command: ParsedCommand, message: string): string {
  return `${message} (see navarch help ${command.name.join(" ")})`;
}

function fail(world: World, format: Format, failure: Failure): number {
  sayFailure(world, format, failure);
  return failure.exit;
}

/**
 * The output format of a command line that could not be parsed, so that a program still gets JSON.
 */
function guessFormat(argv: readonly string[]): Format {
  const line = argv.join(" ");
  return /(?:^| )(?:--?output|-o)[ =]?jsonl?(?: |$)/i.test(line) ? "json" : "table";
}
