/**
 * Settings of a worker of an AgentPool: the file that the pool's ConfigMap puts beside the agent,
 * in the words of its first users. Flags win over it. An error is one sentence that names the file
 * and the key. Pure.
 */
import { dirname, join } from "node:path";
import { parseDuration } from "../../schema/duration.ts";
import { LIMIT } from "../../schema/limit.ts";
import { nearest } from "../../schema/nearest.ts";

export const VELDA_FILE = "/run/velda/velda.yaml";
/** Beside it, from the same ConfigMap: the CAs to trust; their presence means https. */
export const VELDA_CA = "ca.crt";
/** Where the kubelet mounts the pod's own token. */
export const POD_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** Of a worker's agent. */
export type WorkerOptions = {
  /** `null` = as the pool says. */
  slots: number | null;
  /** `null` = it has none. */
  tokenFile: string | null;
  /** `null` = until it is killed. */
  graceMs: number | null;
  /** Keys of the file that are accepted without effect. */
  ignored: readonly string[];
};

/** What a worker's file gives where no flag does. */
export type WorkerPlace = {
  kind: "place";
  /** `null` = a machine, no worker. */
  worker: WorkerOptions | null;
  over: {
    server: string | null;
    /** The connection is encrypted, because something to verify or to show is given. */
    isSecure: boolean;
    nodeId: string | undefined;
    pool: string | null;
    caFile: string | null;
    certFile: string | null;
    keyFile: string | null;
  };
  warnings: string[];
};

type Given = {
  values: {
    server: string;
    config?: string | undefined;
    grace?: string | undefined;
    "token-file"?: string | undefined;
    "node-id"?: string | undefined;
    "ca-file"?: string | undefined;
    "client-cert-file"?: string | undefined;
  };
  /** Flags on the command line. */
  given: ReadonlySet<string>;
  env: Readonly<Record<string, string | undefined>>;
  /** `null` = no such file. */
  read(path: string): string | null;
};

const NO_PLACE: WorkerPlace = {
  kind: "place",
  worker: null,
  over: {
    server: null,
    isSecure: false,
    nodeId: undefined,
    pool: null,
    caFile: null,
    certFile: null,
    keyFile: null,
  },
  warnings: [],
};

/** A worker is an agent with that file, or with a pod's token on its command line. */
export function readWorker(from: Given): WorkerPlace | { kind: "bad"; message: string } {
  const { values, given, env, read } = from;
  const path = values.config ?? VELDA_FILE;
  const text = read(path);
  if (text === null && values.config !== undefined) {
    return { kind: "bad", message: `--config ${path} cannot be read` };
  }
  if (text === null && values["token-file"] === undefined) {
    if (values.grace === undefined) return NO_PLACE;
    return { kind: "bad", message: "--grace is for workers only; it needs --config" };
  }
  const answer = readVeldaFile(text ?? "{}", path);
  if (answer.kind === "bad") return answer;
  const grace = values.grace === undefined ? null : parseDuration(values.grace);
  if (grace?.ok === false) return { kind: "bad", message: `--grace: ${grace.message}` };
  const { file, warnings } = answer;
  const mounted = read(POD_TOKEN_FILE) === null ? null : POD_TOKEN_FILE;
  const tokenFile = values["token-file"] ?? mounted;
  if (tokenFile === null) {
    warnings.push(`no service-account token (${POD_TOKEN_FILE}): this worker needs --token-file`);
  }
  const hasServer = given.has("server") || (env["NAVARCH_SERVER"] ?? "") !== "";
  const beside = join(dirname(path), VELDA_CA);
  const caFile = read(beside) === null ? null : beside;
  const own = env["AGENT_NAME"]?.trim() || file.agentName;
  const proofs = [caFile, file.certFile, values["ca-file"], values["client-cert-file"]];
  const inToken = tokenFile === null ? null : podNameIn(read(tokenFile));
  return {
    kind: "place",
    worker: {
      ...{ slots: file.slots, tokenFile, graceMs: grace?.ok === true ? grace.ms : null },
      ignored: file.ignored,
    },
    over: {
      server: hasServer ? null : file.address,
      isSecure: proofs.some(Boolean),
      nodeId: given.has("node-id") ? values["node-id"] : (own ?? inToken ?? undefined),
      pool: file.pool,
      caFile,
      certFile: file.certFile,
      keyFile: file.keyFile,
    },
    warnings,
  };
}

export type VeldaFile = {
  address: string | null;
  pool: string | null;
  slots: number | null;
  agentName: string | null;
  certFile: string | null;
  keyFile: string | null;
  ignored: readonly string[];
};

export type VeldaAnswer =
  | { kind: "file"; file: VeldaFile; warnings: string[] }
  | { kind: "bad"; message: string };

type Kind = "text" | "count" | "ignored";
const KEYS: Record<string, Kind | Record<string, Kind>> = {
  broker: { address: "text" },
  pool: "text",
  daemon_config: {
    max_sessions: "count",
    agent_name: "text",
    mtls_client_cert_path: "text",
    mtls_client_key_path: "text",
  },
  sandbox_config: "ignored",
};

/** Longer than any path or address; a ConfigMap has a mebibyte. */
const TEXT_CHARS_MAX = 4_096;

class Bad extends Error {}

/** `text` is the file at `path`. */
export function readVeldaFile(text: string, path: string): VeldaAnswer {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return { kind: "bad", message: `${path} is not YAML: ${why.slice(0, 200)}` };
  }
  const warnings: string[] = [];
  const found = new Map<string, string | number>();
  const ignored: string[] = [];
  try {
    readMap(value ?? {}, KEYS, "", { path, warnings, found, ignored });
  } catch (cause) {
    if (cause instanceof Bad) return { kind: "bad", message: cause.message };
    throw cause;
  }
  const textOf = (key: string) => found.get(key)?.toString() ?? null;
  const slots = found.get("daemon_config.max_sessions");
  const file: VeldaFile = {
    address: textOf("broker.address"),
    pool: textOf("pool"),
    slots: typeof slots === "number" ? slots : null,
    agentName: textOf("daemon_config.agent_name"),
    certFile: textOf("daemon_config.mtls_client_cert_path"),
    keyFile: textOf("daemon_config.mtls_client_key_path"),
    ignored,
  };
  if ((file.certFile === null) !== (file.keyFile === null)) {
    const missing = file.certFile === null ? "mtls_client_cert_path" : "mtls_client_key_path";
    return { kind: "bad", message: `${path}: daemon_config.${missing} is missing` };
  }
  return { kind: "file", file, warnings };
}

type Into = {
  path: string;
  warnings: string[];
  found: Map<string, string | number>;
  ignored: string[];
};

function readMap(
  value: unknown,
  keys: Readonly<Record<string, Kind | Record<string, Kind>>>,
  above: string,
  into: Into,
): void {
  const { path, warnings, found, ignored } = into;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Bad(`${path}: ${above === "" ? "the file" : above} must be a mapping`);
  }
  for (const [name, given] of Object.entries(value)) {
    const key = above === "" ? name : `${above}.${name}`;
    const kind = Object.hasOwn(keys, name) ? keys[name] : undefined;
    if (kind === undefined) {
      const near = nearest(name, Object.keys(keys));
      const hint = near === null ? "" : ` (did you mean ${near}?)`;
      warnings.push(`${path}: unknown key ${key} is ignored${hint}`);
    } else if (kind === "ignored") {
      ignored.push(key);
      warnings.push(`${path}: ${key} is ignored: Navarch runs no sandbox in its workers`);
    } else if (given === null) {
      continue;
    } else if (typeof kind === "object") {
      readMap(given, kind, key, into);
    } else if (kind === "count") {
      found.set(key, readCount(given, `${path}: ${key}`));
    } else {
      found.set(key, readText(given, `${path}: ${key}`));
    }
  }
}

function readText(given: unknown, what: string): string {
  const text = typeof given === "string" ? given.trim() : "";
  if (text !== "" && text.length <= TEXT_CHARS_MAX) return text;
  throw new Bad(`${what} must be text of 1 to ${TEXT_CHARS_MAX} characters`);
}

function readCount(given: unknown, what: string): number {
  const max = LIMIT.workerSlotsMax;
  const isCount = typeof given === "number" && Number.isInteger(given);
  if (isCount && given >= 1 && given <= max) return given;
  throw new Bad(`${what} must be 1 to ${max}, found ${JSON.stringify(given)?.slice(0, 40)}`);
}

/** The pod that a service-account token names, unverified: only a default for the agent's id. */
export function podNameIn(token: string | null): string | null {
  try {
    const payload = Buffer.from(token?.split(".")[1] ?? "", "base64url").toString();
    const claims: unknown = JSON.parse(payload);
    const kubernetes = fieldOf(claims, "kubernetes.io");
    const name = fieldOf(fieldOf(kubernetes, "pod"), "name");
    return typeof name === "string" && name !== "" ? name : null;
  } catch {
    return null;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
