/**
 * The type of a command: words, flags, help and action. `command/catalog.ts` lists all commands; `run.ts`
 * finds, checks and runs one.
 */
import type { Flag, Flags } from "./flag.ts";
import type { Client } from "./client.ts";
import type { Failure } from "./failure.ts";
import type { GoFlag } from "./go-flag.ts";
import type { Screen, Shown } from "./show.ts";
import type { World } from "./world.ts";

export type Context = Screen & {
  flags: Flags;
  /** Words after the command's own. */
  words: readonly string[];
  /** Opens a client of the control plane; fails if the address or token is invalid. */
  connect(): Client | Failure;
  /** `--timeout` in milliseconds, and whether it was given. */
  timeoutMs: number;
  timeoutGiven: boolean;
};

/** What to print (exit 0), an exit status, or what went wrong. */
export type Outcome = Promise<Shown | number | Failure>;

type Base = {
  /** `["pool", "list"]`. */
  name: readonly string[];
  /** Other names. */
  alias?: readonly string[];
  /** What follows the name in the usage line: `<id>…`. */
  usage: string;
  /** Without a full stop, and short enough for one line of the overview. */
  summary: string;
  /** The heading under which the help lists it; `command/catalog.ts` gives it. */
  group?: string;
  /** Whole command lines; the tests parse each. */
  examples?: readonly string[];
  /** Further paragraphs of the help. */
  more?: string;
  flags: readonly Flag[];
  /** Further values of `--output`, which the command prints as its text. */
  formats?: readonly string[];
  /** Bounds of the number of words after the name. */
  words: { min: number; max: number };
  /** True if the command outlives `--timeout`, which then bounds each request. */
  lasts?(flags: Flags): boolean;
  /** Watched without `--watch`, which any command may declare (`watch.ts`). */
  watches?: boolean;
};

/** Its flags and words are read for it. */
export type ParsedCommand =
  | (Base & { reach: "online"; run(context: Context, client: Client): Outcome })
  | (Base & { reach: "offline"; run(context: Context): Outcome });

/** Reads what follows its name itself (`go-flag.ts`), and prints its own failure. */
export type RawCommand = Base & {
  reach: "raw";
  /** What `flags` lists for the help, made with `asFlags`. */
  goFlags: readonly GoFlag[];
  run(world: World, argv: readonly string[]): Promise<number>;
};

export type Command = ParsedCommand | RawCommand;
