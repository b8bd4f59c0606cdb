/**
 * Where the API server is and who we are there: an explicit kubeconfig, else the service account of
 * the pod we run in, else `KUBECONFIG`, else (only if Kubernetes is asked for) `~/.kube/config`.
 * Nothing found is no error while Kubernetes is optional; something named and unusable always is.
 *
 * Adapter: reads kubeconfig, token and certificate files; the clock is the real one by default.
 */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { Clock } from "../core/clock.ts";
import { openCredential, openMaterial } from "./credential.ts";
import type { CredentialSource } from "./credential.ts";
import { ExecPlugin } from "./exec-plugin.ts";
import type { ClusterInfo } from "./exec-plugin.ts";
import { readKubeconfig } from "./kubeconfig.ts";
import type { Choice, ClusterEntry, KubeconfigFile } from "./kubeconfig.ts";

/** As `fetch` takes it; PEM text. */
export type TransportTls = {
  ca?: string;
  cert?: string;
  key?: string;
  serverName?: string;
  rejectUnauthorized?: boolean;
};

export type Transport = {
  /** URL of the server, without a slash at its end. */
  server: string;
  /** For people: the context's name, or `in-cluster`. */
  name: string;
  /** Rejects with a message without secrets if no credential can be had. */
  headers(): Promise<Record<string, string>>;
  /** Like `headers`. */
  tls(): Promise<TransportTls>;
  /** The server answered 401: credentials are read, or asked for, anew. */
  refresh(): void;
};

export type TransportSettings = {
  enabled: boolean | "auto";
  kubeconfig: string | null;
  context: string | null;
};

export type OpenedTransport =
  | { kind: "off" }
  /** Nothing here speaks of Kubernetes, and nobody asked for it. */
  | { kind: "absent" }
  | { kind: "failed"; message: string }
  /** `warnings` are for the log and `doctor`. */
  | { kind: "ok"; transport: Transport; warnings: string[] };

type Environment = Readonly<Record<string, string | undefined>>;

/** Replaced in tests. */
export type TransportPorts = { clock: Clock; serviceAccountFolder: string; homeFolder: string };

/** The name of the way that a pod has. */
export const IN_CLUSTER = "in-cluster";
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** The largest kubeconfigs hold some hundred clusters with inline certificates. */
const KUBECONFIG_BYTES_MAX = 16 * 1024 * 1024;

/** Never rejects. Reads files, starts nothing and asks nobody. */
export async function openTransport(
  settings: TransportSettings,
  env: Environment,
  given: Partial<TransportPorts> = {},
): Promise<OpenedTransport> {
  if (settings.enabled === false) return { kind: "off" };
  const ports: TransportPorts = {
    clock: given.clock ?? REAL_CLOCK,
    serviceAccountFolder: given.serviceAccountFolder ?? SERVICE_ACCOUNT,
    homeFolder: given.homeFolder ?? env["HOME"] ?? homedir(),
  };
  const { kubeconfig, context } = settings;
  if (kubeconfig !== null) return openKubeconfig([expand(kubeconfig, ports)], settings, env, ports);
  // A pod has one cluster and no contexts: who names a context means a file.
  if (context === null && (await isInCluster(env, ports))) return openInCluster(env, ports);
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  if (listed.length > 0) return openKubeconfig(listed, settings, env, ports);
  const home = join(ports.homeFolder, ".kube", "config");
  if (settings.enabled === true && (await isFile(home))) {
    return openKubeconfig([home], settings, env, ports);
  }
  if (settings.enabled === "auto" && context === null) return { kind: "absent" };
  const asked = context === null ? "kubernetes.enabled is true" : "kubernetes.context is set";
  const looked = `kubernetes.kubeconfig, a service account, KUBECONFIG or ${home}`;
  return { kind: "failed", message: `${asked}, but there is no cluster in ${looked}` };
}

function expand(path: string, { homeFolder }: TransportPorts): string {
  return path.startsWith("~/") ? join(homeFolder, path.slice(2)) : resolve(path);
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() ?? false;
}

async function isInCluster(env: Environment, ports: TransportPorts): Promise<boolean> {
  const named = env["KUBERNETES_SERVICE_HOST"] && env["KUBERNETES_SERVICE_PORT"];
  return Boolean(named) && (await isFile(join(ports.serviceAccountFolder, "token")));
}

/**
 * `paths` are merged; one that does not exist is passed over, as kubectl does with `KUBECONFIG`,
 * unless none exists.
 */
async function openKubeconfig(
  paths: readonly string[],
  settings: TransportSettings,
  env: Environment,
  ports: TransportPorts,
): Promise<OpenedTransport> {
  const files: KubeconfigFile[] = [];
  const missing: string[] = [];
  for (const path of paths) {
    const absolute = resolve(path);
    const read = await readText(absolute);
    if (read.kind === "ok") files.push({ path: absolute, text: read.text });
    else if (read.code === "ENOENT") missing.push(absolute);
    else {
      return { kind: "failed", message: `${absolute}: expected a kubeconfig, ${read.why}` };
    }
  }
  if (files.length === 0) {
    const message = `${missing.join(", ")}: expected a kubeconfig, found no such file`;
    return { kind: "failed", message };
  }
  const result = readKubeconfig(files, settings.context);
  if (result.kind === "bad") return { kind: "failed", message: result.message };
  return openChoice(result.choice, env, ports);
}

type ReadText = { kind: "ok"; text: string } | { kind: "failed"; code: string | null; why: string };

async function readText(path: string): Promise<ReadText> {
  try {
    const bytes = await readFile(path);
    if (bytes.byteLength > KUBECONFIG_BYTES_MAX) {
      return { kind: "failed", code: null, why: "found a file of more than 16 MiB" };
    }
    return { kind: "ok", text: bytes.toString("utf8") };
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    return { kind: "failed", code, why: `not readable: ${code}` };
  }
}

/** The namespace of the pod that this process runs in; `null` = no file says it. */
export async function ownNamespace(folder = SERVICE_ACCOUNT): Promise<string | null> {
  const text = await readFile(join(folder, "namespace"), "utf8").catch(() => "");
  return text.trim() || null;
}

async function openInCluster(env: Environment, ports: TransportPorts): Promise<OpenedTransport> {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "";
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (!URL.canParse(server)) {
    const message = "KUBERNETES_SERVICE_HOST and _PORT: expected a host and a port";
    return { kind: "failed", message };
  }
  const folder = ports.serviceAccountFolder;
  const cluster: ClusterEntry = {
    server,
    ca: { path: join(folder, "ca.crt") },
    insecure: false,
    serverName: null,
  };
  const user = {
    cert: null,
    key: null,
    token: null,
    tokenFile: join(folder, "token"),
    basic: null,
    exec: null,
    impersonate: {},
  };
  return openChoice({ context: IN_CLUSTER, cluster, user }, env, ports);
}

async function openChoice(
  { context, cluster, user }: Choice,
  env: Environment,
  ports: TransportPorts,
): Promise<OpenedTransport> {
  const { clock } = ports;
  const ca = cluster.ca && openMaterial(cluster.ca, "certificates in PEM", clock);
  const held = openCredential(user, clock);
  try {
    const pem = ca === null ? null : await ca();
    // Only what lies in files is tried: a plugin may need the network, and says so in each call.
    await held.current();
    const info = user.exec?.provideClusterInfo ? clusterInfo(cluster, pem) : null;
    const plugin = user.exec === null ? null : new ExecPlugin(user.exec, info, env, clock);
    const source = plugin === null ? held : layered(held, plugin);
    const transport = createTransport(context, cluster, ca, source, user.impersonate);
    return { kind: "ok", transport, warnings: warningsOf(context, cluster) };
  } catch (cause) {
    return { kind: "failed", message: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** A plugin's answer outranks what is written beside it. */
function layered(held: CredentialSource, plugin: CredentialSource): CredentialSource {
  return {
    async current() {
      const [under, over] = [await held.current(), await plugin.current()];
      const pair = over.cert === null ? under : over;
      return { headers: { ...under.headers, ...over.headers }, cert: pair.cert, key: pair.key };
    },
    refresh() {
      held.refresh();
      plugin.refresh();
    },
  };
}

function createTransport(
  name: string,
  cluster: ClusterEntry,
  ca: (() => Promise<string>) | null,
  source: CredentialSource,
  impersonate: Record<string, string>,
): Transport {
  const fixed: TransportTls = {
    ...(cluster.insecure ? { rejectUnauthorized: false } : {}),
    ...(cluster.serverName === null ? {} : { serverName: cluster.serverName }),
  };
  return {
    server: cluster.server,
    name,
    headers: async () => ({ ...(await source.current()).headers, ...impersonate }),
    async tls() {
      const { cert, key } = await source.current();
      return {
        ...fixed,
        ...(ca === null ? {} : { ca: await ca() }),
        ...(cert === null || key === null ? {} : { cert, key }),
      };
    },
    refresh: () => source.refresh(),
  };
}

function clusterInfo({ server, insecure, serverName }: ClusterEntry, pem: string | null) {
  const info: ClusterInfo = {
    server,
    ...(insecure ? { "insecure-skip-tls-verify": true } : {}),
    ...(serverName === null ? {} : { "tls-server-name": serverName }),
    ...(pem === null ? {} : { "certificate-authority-data": Buffer.from(pem).toString("base64") }),
  };
  return info;
}

function warningsOf(context: string, { server, insecure }: ClusterEntry): string[] {
  const warnings: string[] = [];
  if (insecure) {
    warnings.push(
      `context ${context}: insecure-skip-tls-verify: anybody on the way can read the credentials`,
    );
  }
  if (server.startsWith("http:") && !isLoopback(new URL(server).hostname)) {
    warnings.push(`context ${context}: ${server} is not encrypted`);
  }
  return warnings;
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || host.startsWith("127.");

/** Files and plugins age in real time; only tests step another clock. */
export const REAL_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
