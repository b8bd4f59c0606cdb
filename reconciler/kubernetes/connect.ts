/**
 * Finds the API server and our credentials: an explicit kubeconfig, else the service account of our
 * pod, else `KUBECONFIG`, else (only with `enabled: true`) `~/.kube/config`. Finding none is an
 * error unless Kubernetes is optional; a named but unusable one always is.
 *
 * Adapter: reads kubeconfig, token and certificate files; the clock is the real one by default.
 */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { Cluster } from "@kubernetes/client-node";
import type { Clock } from "../core/clock.ts";
import { openFiles } from "./credential.ts";
import type { TransportTls } from "./credential.ts";
import { openPlugin } from "./exec-plugin.ts";
import { readKubeconfig } from "./kubeconfig.ts";
import type { Choice, KubeconfigFile } from "./kubeconfig.ts";
import { isLoopback } from "../../schema/loopback.ts";

export type Transport = {
  /** URL of the server, without a trailing slash. */
  server: string;
  /** For display: the context's name, or `in-cluster`. */
  name: string;
  /** Rejects with a message without secrets if there is no credential. */
  headers(): Promise<Record<string, string>>;
  /** Like `headers`. */
  tls(): Promise<TransportTls>;
  /** The server answered 401: renews the credentials. */
  refresh(): void;
};

export type TransportSettings = {
  enabled: boolean | "auto";
  kubeconfig: string | null;
  context: string | null;
  /** True: `KUBECONFIG` wins over the service account of our pod. */
  isEnvironmentFirst?: boolean;
};

export type OpenedTransport =
  | { kind: "off" }
  /** Optional, and none was found. */
  | { kind: "absent" }
  /** `why` where the command line says it in words of its own. */
  | { kind: "failed"; message: string; why?: "no_cluster" }
  /** `warnings` are for the log and `doctor`. */
  | { kind: "ok"; transport: Transport; warnings: string[] };

type Environment = Readonly<Record<string, string | undefined>>;

/** Replaced in tests. */
export type TransportPorts = { clock: Clock; root: string; homeFolder: string };

/** `Transport.name` with the service account of a pod. */
export const IN_CLUSTER = "in-cluster";
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** The largest kubeconfigs hold some hundred clusters with inline certificates. */
const KUBECONFIG_BYTES_MAX = 16 * 1024 * 1024;

/** Never rejects. Reads files; starts no process and sends nothing. */
export async function openTransport(
  settings: TransportSettings,
  env: Environment,
  given: Partial<TransportPorts> = {},
): Promise<OpenedTransport> {
  if (settings.enabled === false) return { kind: "off" };
  const ports: TransportPorts = {
    clock: given.clock ?? REAL_CLOCK,
    root: given.root ?? "",
    homeFolder: given.homeFolder ?? env["HOME"] ?? homedir(),
  };
  const { kubeconfig, context } = settings;
  if (kubeconfig !== null) return openKubeconfig([expand(kubeconfig, ports)], settings, env, ports);
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  const isNamed = settings.isEnvironmentFirst === true && listed.length > 0;
  // A service account has no contexts, so a named context means a file.
  if (!isNamed && context === null && (await isInCluster(env, ports))) {
    return openInCluster(env, ports);
  }
  if (listed.length > 0) return openKubeconfig(listed, settings, env, ports);
  const home = join(ports.homeFolder, ".kube", "config");
  if (settings.enabled === true && (await isFile(home))) {
    return openKubeconfig([home], settings, env, ports);
  }
  if (settings.enabled === "auto" && context === null) return { kind: "absent" };
  const asked = context === null ? "kubernetes.enabled is true" : "kubernetes.context is set";
  const looked = `kubernetes.kubeconfig, a service account, KUBECONFIG or ${home}`;
  const message = `${asked}, but there is no cluster in ${looked}`;
  return { kind: "failed", message, why: "no_cluster" };
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
  return Boolean(named) && (await isFile(`${ports.root}${SERVICE_ACCOUNT}/token`));
}

/** Merges `paths`; missing files are skipped, as in kubectl, unless all are missing. */
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
  const result = await readKubeconfig(files, settings.context);
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

/** The namespace of our pod; `null`: not in a pod. */
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
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const config = new KubeConfig();
  config.loadFromCluster(ports.root);
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (cluster === null || user === null) return { kind: "absent" };
  // The library uses plain http on the ports 80, 8001 and 8080; client-go never does.
  const choice = { cluster: { ...cluster, server }, user, exec: null, impersonate: {} };
  return openChoice({ context: IN_CLUSTER, ...choice }, env, ports);
}

async function openChoice(
  choice: Choice,
  env: Environment,
  ports: TransportPorts,
): Promise<OpenedTransport> {
  const { context, cluster, user, exec, impersonate } = choice;
  const files = openFiles(cluster, user, ports.clock);
  try {
    // Only files are checked here: a plugin may need the network and reports errors in each call.
    const { tls } = await files.current();
    const info = exec?.provideClusterInfo ? clusterInfo(cluster, tls.ca) : null;
    const plugin = exec && openPlugin(exec, info, env, ports.clock);
    // A plugin's answer takes precedence over the static credentials.
    const transport: Transport = {
      server: cluster.server,
      name: context,
      async headers() {
        const [under, over] = [await files.current(), await plugin?.current()];
        return { ...under.headers, ...over?.headers, ...impersonate };
      },
      async tls() {
        const [under, over] = [await files.current(), await plugin?.current()];
        return { ...under.tls, ...over?.tls };
      },
      refresh() {
        files.refresh();
        plugin?.refresh();
      },
    };
    return { kind: "ok", transport, warnings: warningsOf(context, cluster) };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    return { kind: "failed", message };
  }
}

/** For a plugin with `provideClusterInfo`. */
function clusterInfo({ server, skipTLSVerify, tlsServerName }: Cluster, ca: string | undefined) {
  return {
    server,
    ...(skipTLSVerify ? { "insecure-skip-tls-verify": true } : {}),
    ...(tlsServerName ? { "tls-server-name": tlsServerName } : {}),
    ...(ca === undefined
      ? {}
      : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
  };
}

function warningsOf(context: string, { server, skipTLSVerify }: Cluster): string[] {
  const warnings: string[] = [];
  if (skipTLSVerify) {
    warnings.push(
      `context ${context}: insecure-skip-tls-verify: the credentials can be intercepted`,
    );
  }
  if (server.startsWith("http:") && !isLoopback(new URL(server).hostname)) {
    warnings.push(`context ${context}: ${server} is not encrypted`);
  }
  return warnings;
}

/** Files and plugins age in real time, except in tests. */
export const REAL_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
