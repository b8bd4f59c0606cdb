/**
 * Reads and checks the flags of `navarch bootstrap --host`. The defaults are those of a pool,
 * except the SSH timeout: 30 s instead of 10 minutes. Pure.
 */
import * as v from "valibot";
import { TEMPLATE_VARIABLES, type TemplateVariable } from "../bootstrap/template/variable.ts";
import { NodeId, PoolName } from "../schema/id.ts";
import { nearest } from "../schema/nearest.ts";
import { type Failure, unknownName, usage } from "./failure.ts";
import { type Flag, type Flags, readSpan, switchFlag, textFlag, textsFlag } from "./flag.ts";

export const HOST_FLAGS: readonly Flag[] = [
  textFlag("host", "H", "set up machine H over SSH from this computer"),
  textFlag("port", "P", "SSH port (default 22)"),
  textFlag("user", "U", "SSH user (default ubuntu)"),
  textFlag("key", "FILE", "private key without passphrase (default: the first in ~/.ssh)"),
  textFlag("known-hosts", "FILE", "known host keys (default ~/.local/state/navarch/known_hosts)"),
  textFlag("jump", "[U@]H[:P]", "jump host, with the same key"),
  textFlag("pool", "P", "pool that the machine joins"),
  textsFlag("template", "NAME", "built-in setup template"),
  textsFlag("file", "F", "script to run after the templates"),
  textsFlag("set", "K=V", "set a template variable or JoinToken"),
  textFlag("munge-key", "F", "with slurm-node: send this munge key"),
  textFlag("slurm-conf", "DIR", "with slurm-node: send the configuration files in DIR"),
  textFlag("agent", "F", "agent binary to upload (default: the local one)"),
  textFlag("become", "HOW", "use sudo: auto, always or never (default auto)"),
  textFlag("ssh-timeout", "T", "time limit for the SSH connection (default 30s)"),
  textFlag("command-timeout", "T", "time limit for each command (default 5m)"),
  switchFlag("afresh", "also repeat commands that an earlier run finished"),
  switchFlag("dry-run", "print the script without connecting"),
  {
    name: "test-marks",
    kind: "text",
    value: "DIR",
    help: "where the machine keeps its marks",
    hidden: true,
  },
];

export type Place = { user: string; host: string; port: number };
export type Values = Readonly<Partial<Record<TemplateVariable, string>>>;

export type HostRequest = Place & {
  keyPath: string | null;
  knownHosts: string | null;
  jump: Place | null;
  node: NodeId;
  pool: PoolName | null;
  templates: readonly string[];
  files: readonly string[];
  values: Values;
  joinToken: string | null;
  agentPath: string | null;
  mungeKey: string | null;
  slurmConf: string | null;
  become: "auto" | "always" | "never";
  /** `null` = not given: a refused key is final at once. */
  sshTimeoutMs: number | null;
  commandTimeoutMs: number;
  afresh: boolean;
  dryRun: boolean;
  marks: string | null;
};

const COMMAND_TIMEOUT_MS = 300_000;
/** A name, an IPv4 or an IPv6 address. */
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$/;
const USER = /^[A-Za-z_][A-Za-z0-9._-]{0,31}$/;
const BECOME = ["auto", "always", "never"] as const;

/** Names that `--set` takes besides the template variables. */
const JOIN_TOKEN = "JoinToken";
/** Short names for the Slurm template. */
const ALIAS: Readonly<Record<string, TemplateVariable>> = {
  name: "NodeID",
  dynamic: "SlurmDynamic",
  "conf-server": "SlurmConfServer",
};

export type Read<T> = { ok: true; value: T } | Failure;
const read = <T>(value: T): Read<T> => ({ ok: true, value });

export function readHostFlags(
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
): Read<HostRequest> {
  const user = flags.text("user") ?? "ubuntu";
  if (!USER.test(user)) return usage(`--user "${user}": expected letters, digits, . _ -`);
  const at = readHost(flags.text("host") ?? "");
  if (!at.ok) return at;
  const port = readPort("port", flags.text("port") ?? "22");
  if (!port.ok) return port;
  const jump = readJump(flags.text("jump"), user);
  if (!jump.ok) return jump;
  // A token of the environment is sent only if the template needs it.
  const token = flags.texts("template").includes("agent") ? env["NAVARCH_JOIN_TOKEN"] : undefined;
  const set = readSet(flags.texts("set"), token ?? null);
  if (!set.ok) return set;
  const given = readNames(flags, set.value.values, at.value);
  if (!given.ok) return given;
  const times = readTimes(flags);
  if (!times.ok) return times;
  const become = (flags.text("become") ?? "auto").toLowerCase();
  const how = BECOME.find((one) => one === become);
  if (how === undefined) return unknownName("become", become, BECOME);
  return read({
    ...{ user, host: at.value, port: port.value, jump: jump.value },
    keyPath: flags.text("key"),
    knownHosts: flags.text("known-hosts"),
    ...given.value,
    templates: flags.texts("template"),
    files: flags.texts("file"),
    joinToken: set.value.joinToken,
    agentPath: flags.text("agent"),
    mungeKey: flags.text("munge-key"),
    slurmConf: flags.text("slurm-conf"),
    become: how,
    ...times.value,
    afresh: flags.on("afresh"),
    dryRun: flags.on("dry-run"),
    marks: flags.text("test-marks"),
  });
}

function readHost(given: string): Read<string> {
  const host = given.replace(/^\[(.*)\]$/, "$1");
  if (given.includes("@")) return usage(`--host "${given}": pass the user with --user`);
  if (/^[^:]+:\d+$/.test(given)) return usage(`--host "${given}": pass the port with --port`);
  if (HOST.test(host)) return read(host);
  return usage(`--host "${given}": expected a name or an address, for example 10.0.0.7`);
}

function readPort(flag: string, text: string): Read<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return read(port);
  return usage(`--${flag}: expected a port from 1 to 65535, found "${text}"`);
}

function readJump(text: string | null, user: string): Read<Place | null> {
  if (text === null) return read(null);
  const match = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:@]+)(?::(\d+))?$/.exec(text);
  const host = (match?.[2] ?? "").replace(/^\[|\]$/g, "");
  const own = match?.[1] ?? user;
  if (match === null || !HOST.test(host) || !USER.test(own)) {
    return usage(`--jump "${text}": expected [user@]host[:port]`);
  }
  const port = readPort("jump", match[3] ?? "22");
  return port.ok ? read({ user: own, host, port: port.value }) : port;
}

type Set = { values: Values; joinToken: string | null };

function readSet(pairs: readonly string[], token: string | null): Read<Set> {
  const values: Partial<Record<TemplateVariable, string>> = {};
  let joinToken = token;
  const names = [...Object.keys(TEMPLATE_VARIABLES), JOIN_TOKEN];
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    // The value may be a secret: repeat the name only.
    if (at < 1) return usage("--set: expected K=V, for example --set Region=us-west-2");
    const [given, value] = [pair.slice(0, at), pair.slice(at + 1)];
    const name = ALIAS[given] ?? given;
    if (name === JOIN_TOKEN) joinToken = value;
    else if (isVariable(name)) values[name] = value;
    else {
      const close = nearest(name, names);
      const hint = close === null ? `there are ${names.join(", ")}` : `did you mean ${close}?`;
      return usage(`--set: unknown variable "${given}" (${hint})`);
    }
  }
  if (joinToken !== null && !/^\S+$/.test(joinToken)) {
    return usage("--set JoinToken: it is empty or holds white space");
  }
  return read({ values, joinToken });
}

function isVariable(name: string): name is TemplateVariable {
  return Object.hasOwn(TEMPLATE_VARIABLES, name);
}

/** Node and pool, which `--set NodeID` and `--set Pool` can name too. */
function readNames(
  flags: Flags,
  set: Values,
  host: string,
): Read<Pick<HostRequest, "node" | "pool" | "values">> {
  const named = set.NodeID ?? host;
  const node = v.safeParse(NodeId, named);
  if (!node.success) {
    return usage(`--set NodeID: "${named}": ${node.issues[0].message} (name it by --set NodeID=)`);
  }
  const wanted = flags.text("pool") ?? set.Pool ?? null;
  if (set.Pool !== undefined && set.Pool !== wanted) {
    return usage(`--pool says "${wanted}" and --set Pool says "${set.Pool}"`);
  }
  if (wanted === null) return read({ node: node.output, pool: null, values: set });
  const pool = v.safeParse(PoolName, wanted);
  if (!pool.success) return usage(`--pool "${wanted}": ${pool.issues[0].message}`);
  return read({ node: node.output, pool: pool.output, values: set });
}

function readTimes(flags: Flags): Read<Pick<HostRequest, "sshTimeoutMs" | "commandTimeoutMs">> {
  const spans: (number | null)[] = [];
  for (const name of ["ssh-timeout", "command-timeout"]) {
    const text = flags.text(name);
    const span = text === null ? null : readSpan(name, text);
    if (span?.ok === false) return span;
    if (span !== null && span.ms <= 0) return usage(`--${name}: must be above 0`);
    spans.push(span?.ms ?? null);
  }
  const [sshTimeoutMs = null, commandMs = null] = spans;
  return read({ sshTimeoutMs, commandTimeoutMs: commandMs ?? COMMAND_TIMEOUT_MS });
}
