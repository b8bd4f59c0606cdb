/**
 * The client that runs Slurm's commands: without a shell, with a limit for each, and with nothing
 * in their environment that changes what they print. Nodes come as JSON where the release has it,
 * jobs as columns: 10,000 of them are 2 MB so, and 30 MB as JSON.
 */
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import type { SlurmAnswer, SlurmClient, SlurmNodeChange } from "../core/slurm/client.ts";
import { compressHostlist } from "../core/slurm/hostlist.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { runProgram } from "../program/program.ts";
import { readNodes } from "./json.ts";
import { judge } from "./rest-answer.ts";
import { JOB_FORMAT, readJobText, readNodeText, readReservationText } from "./text.ts";

export type CliOptions = {
  /** Folder of the commands; `null` = they are looked for in PATH. */
  commandDir: string | null;
  /** slurm.conf; `null` = SLURM_CONF of `env`, or Slurm's default. */
  conf: string | null;
  env: Readonly<Record<string, string>>;
  /** Of each command. A dead controller blocks them for 9 s and more. */
  timeoutMs: number;
  clock: Pick<Clock, "after">;
};

/** An option's dash comes first in no name, and `ALL` is every node. */
const NAME = {
  test: (name: string): boolean =>
    /^[A-Za-z0-9][\w.-]*$/.test(name) && name.toLowerCase() !== "all",
};
const JOB = /^\d+([_+]\d+)?$/;
/** Linux takes 128 KiB for one argument. */
const LIST_CHARS_MAX = 100_000;
const SHOWN_CHARS = 300;
/** What `scontrol show node` prints among the others for a name that Slurm does not know. */
const NOT_FOUND = /^Node (\S+) not found\n?/gm;

/** The controller's judgements, or the command's own before it asked; others leave it open. */
const REFUSALS =
  /invalid (node|user|job|input)|must specify|nodes are busy|access\/permission|already|not found/i;
const UNHEARD = /contact|connect|communication|timed out|socket|authentication|munge|cred/i;
/** A build without JSON, or a release before it. */
const LACKS_JSON = /unrecognized option|invalid option|serializer|cannot find.{0,100}plugin|json/i;

export function openCliClient(options: CliOptions): SlurmClient {
  return new CliClient(options);
}

type Said =
  | { kind: "ended"; status: number; output: string; message: string }
  | { kind: "failed"; message: string; isUnstarted: boolean };

class CliClient implements SlurmClient {
  readonly #options: CliOptions;
  readonly #env: Readonly<Record<string, string>>;
  #version: string | null = null;
  #lacksJson = false;

  constructor(options: CliOptions) {
    this.#options = options;
    this.#env = envOf(options);
  }

  describe(): string {
    return this.#version === null ? "scontrol" : `scontrol, Slurm ${this.#version}`;
  }

  async nodes(names?: readonly string[]): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    if (names !== undefined) return this.#named(names);
    const known = await this.#ask();
    if (known !== null) return known;
    let answer = this.#lacksJson ? null : await this.#nodesAsJson();
    if (answer === null) {
      const said = await this.#run("scontrol", ["--all", "show", "node"]);
      answer = take("scontrol", said, readNodeText);
    }
    // Another release may be there the next time, as after an upgrade.
    if (answer.kind !== "ok") this.#version = null;
    return answer;
  }

  /**
   * One call for all names: slurmctld answers the same for one and for many. A node that Slurm does
   * not know is left out; one that the answer does not mention is no answer.
   */
  async #named(names: readonly string[]): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    const wanted = new Set(names.filter((name) => NAME.test(name)));
    if (wanted.size === 0) return { kind: "ok", value: [] };
    const list = compressHostlist(wanted);
    if (list.length > LIST_CHARS_MAX) {
      return { kind: "failed", message: `${wanted.size} names do not fit into one call` };
    }
    const said = await this.#run("scontrol", ["--all", "show", "node", list]);
    if (said.kind === "failed") return said;
    const unknown = new Set([...said.output.matchAll(NOT_FOUND)].map(([, name]) => name));
    const told = { ...said, output: said.output.replaceAll(NOT_FOUND, "") };
    // It ends with status 1 if it does not know one of them.
    const answer = take("scontrol", unknown.size > 0 ? { ...told, status: 0 } : told, readNodeText);
    if (answer.kind !== "ok") return answer;
    const value = answer.value.filter(({ name }) => wanted.has(name));
    for (const { name } of value) unknown.add(name);
    const missing = [...wanted].find((name) => !unknown.has(name));
    if (missing === undefined) return { kind: "ok", value };
    return { kind: "failed", message: `scontrol: ${missing} is missing in its output` };
  }

  async jobs(): ReturnType<SlurmClient["jobs"]> {
    const said = await this.#run("squeue", ["--all", "--noheader", `--Format=${JOB_FORMAT}`]);
    return take("squeue", said, readJobText);
  }

  async reservations(): ReturnType<SlurmClient["reservations"]> {
    const said = await this.#run("scontrol", ["--oneliner", "show", "reservation"]);
    return take("scontrol", said, readReservationText);
  }

  async update(names: readonly string[], change: SlurmNodeChange): Promise<SlurmAnswer<null>> {
    const { state, reason, address, hostname } = change;
    // scontrol takes one pair of quotes off a reason, whosever they are.
    const fields = [
      ...(state === undefined ? [] : [`state=${state}`]),
      ...(reason === undefined ? [] : [`reason="${inOneLine(reason)}"`]),
      ...(address === undefined ? [] : [`nodeaddr=${address}`]),
      ...(hostname === undefined ? [] : [`nodehostname=${hostname}`]),
    ];
    const answer = await this.#write(names, (list) => ["update", list, ...fields]);
    // Slurm changes the nodes that it knows, and then says that it does not know another.
    if (answer.kind !== "refused" || names.length < 2) return answer;
    return { kind: "failed", message: `${answer.message} (for at least one of ${names.length})` };
  }

  /** 22.05 deletes configured nodes too, and dies of the next call that names one. */
  async remove(names: readonly string[]): Promise<SlurmAnswer<null>> {
    const listed = await this.nodes(names);
    if (listed.kind !== "ok") return listed;
    const fixed = listed.value.find(({ flags }) => !flags.some((flag) => /^DYNAMIC/.test(flag)));
    if (fixed !== undefined) {
      return { kind: "refused", message: `${fixed.name} is no dynamic node of Slurm` };
    }
    if (listed.value.length === 0) return { kind: "ok", value: null };
    return this.#write(
      listed.value.map(({ name }) => name),
      (list) => ["delete", list],
    );
  }

  async requeue(job: string, hold: boolean): Promise<SlurmAnswer<null>> {
    if (!JOB.test(job)) return { kind: "refused", message: `not a job of Slurm: ${job}` };
    // The parts of a heterogeneous job are requeued together, by its number alone.
    const [whole = job] = job.split("+");
    return ordered(await this.#run("scontrol", [hold ? "requeuehold" : "requeue", whole]));
  }

  async signal(jobs: readonly string[], signal: string): Promise<SlurmAnswer<null>> {
    const odd = jobs.find((job) => !JOB.test(job));
    if (odd !== undefined) return { kind: "refused", message: `not a job of Slurm: ${odd}` };
    if (!/^[A-Z][A-Z0-9]*$/.test(signal) || jobs.length === 0) {
      return { kind: "refused", message: `neither a signal nor a job: ${signal}` };
    }
    // Without --full the batch script gets none.
    return ordered(await this.#run("scancel", [`--signal=${signal}`, "--full", ...jobs]));
  }

  async #write(
    names: readonly string[],
    argsOf: (list: string) => string[],
  ): Promise<SlurmAnswer<null>> {
    const odd = names.find((name) => !NAME.test(name));
    if (odd !== undefined) return { kind: "refused", message: `not a NodeName: ${odd}` };
    if (names.length === 0) return { kind: "ok", value: null };
    const list = compressHostlist(names);
    if (list.length > LIST_CHARS_MAX) {
      return { kind: "refused", message: `${names.length} names do not fit into one call` };
    }
    return done(await this.#run("scontrol", argsOf(`nodename=${list}`)));
  }

  /** Which release it is; an answer only if that cannot be told. */
  async #ask(): Promise<SlurmAnswer<never> | null> {
    if (this.#version !== null) return null;
    const said = await this.#run("scontrol", ["--version"]);
    const line = said.kind === "ended" ? said.output.slice(0, 256) : "";
    const version = /(\d+\.\d+\S*)/.exec(line)?.[1];
    if (version === undefined) {
      return { kind: "failed", message: said.message || "scontrol --version says no version" };
    }
    this.#version = version;
    this.#lacksJson = releaseOf(version) < releaseOf("21.08");
    return null;
  }

  /** `null`: this build has no JSON. Up to 22.05 only sinfo has it, and later it is another one. */
  async #nodesAsJson(): Promise<SlurmAnswer<readonly SlurmNode[]> | null> {
    const isOld = releaseOf(this.#version ?? "") < releaseOf("23.02");
    const command = isOld ? "sinfo" : "scontrol";
    const args = isOld ? ["--json"] : ["--all", "show", "nodes", "--json"];
    const said = await this.#run(command, args);
    if (said.kind === "ended" && said.status !== 0 && LACKS_JSON.test(said.message)) {
      this.#lacksJson = true;
      return null;
    }
    return take(command, said, (text) => {
      const answer = judge({ kind: "json", status: 200, value: readJson(text) });
      // 22.05 ends with status 0, no nodes, and an error inside when it has no controller.
      return answer.kind === "ok" ? readNodes(answer.value) : answer.message;
    });
  }

  async #run(command: string, args: readonly string[]): Promise<Said> {
    const { commandDir, timeoutMs, clock } = this.#options;
    const path = commandDir === null ? command : join(commandDir, command);
    const ran = await runProgram({ argv: [path, ...args], env: this.#env, timeoutMs, clock }, "");
    if (ran.kind === "failed") {
      return { kind: "failed", message: `${command}: ${ran.why}`, isUnstarted: ran.isUnstarted };
    }
    const { status, output, stderr } = ran;
    const text = complaintOf(command, stderr === "" && status !== 0 ? output : stderr);
    return { kind: "ended", status, output, message: `${command}: ${text.slice(0, SHOWN_CHARS)}` };
  }
}

/** Sites and people set variables that change what the commands list, and of which cluster. */
function envOf({ env, conf }: CliOptions): Readonly<Record<string, string>> {
  const kept = Object.entries(env).filter(([name]) => {
    return !/^(SLURM|SQUEUE|SINFO|SCONTROL)_/.test(name) || /^SLURM_(CONF|JWT)$/.test(name);
  });
  return {
    ...Object.fromEntries(kept),
    ...(conf === null ? {} : { SLURM_CONF: conf }),
    ...{ TZ: "UTC", LC_ALL: "C", SLURM_TIME_FORMAT: "standard" },
    // Else the tasks of an array are cut at 64 characters.
    SLURM_BITSTR_LEN: "0",
  };
}

/** `read` gives the value, `null`, or the error that the text tells. */
function take<T>(
  command: string,
  said: Said,
  read: (text: string) => T | string | null,
): SlurmAnswer<T> {
  if (said.kind === "failed" || said.status !== 0) return { kind: "failed", message: said.message };
  const value = read(said.output) ?? "its output cannot be read";
  if (typeof value !== "string") return { kind: "ok", value };
  return { kind: "failed", message: `${command}: ${value}` };
}

function done(said: Said): SlurmAnswer<null> {
  if (said.kind === "failed") {
    return { kind: said.isUnstarted ? "refused" : "failed", message: said.message };
  }
  if (said.status === 0) return { kind: "ok", value: null };
  return { kind: REFUSALS.test(said.message) ? "refused" : "failed", message: said.message };
}

/** Slurm has many reasons to refuse an order to a job, and few for not having heard it. */
function ordered(said: Said): SlurmAnswer<null> {
  const answer = done(said);
  if (answer.kind !== "failed" || said.kind === "failed") return answer;
  return UNHEARD.test(answer.message) ? answer : { kind: "refused", message: answer.message };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** `22.05` before `23.02`. */
function releaseOf(version: string): number {
  const [, year = "0", month = "0"] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(year) * 100 + Number(month);
}

/** The reason first: without the command's name, the call inside it, and munge's general advice. */
function complaintOf(command: string, text: string): string {
  const lines = text.split("\n").map((line) =>
    inOneLine(line)
      .replace(new RegExp(`^(?:\\S*/)?${command}: (?:error: )?`), "")
      .replace(/^slurm_load_\w+(?: error)?: /, ""),
  );
  const told = lines.filter((line) => line !== "" && !line.startsWith("If munged is up, restart"));
  return [...new Set(told)].join("; ");
}

/** Without control characters: a line break would be a second line of the command's. */
const inOneLine = (text: string): string => text.replace(/\p{Cc}+/gu, " ").trim();
