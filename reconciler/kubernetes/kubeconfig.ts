/**
 * Merges and checks kubeconfig files (kubernetes.io/docs, "Organizing Cluster Access Using
 * kubeconfig Files") before `KubeConfig` of `@kubernetes/client-node` reads the chosen context.
 * Version 1.4.0 rejects a name that occurs in two files, a broken entry that is not chosen, and a
 * missing file; it ignores `tokenFile`, prefers a file to inline data, and its errors quote the
 * file. Our errors name the file, the place, what was expected and the nearest name, and quote no
 * other values, which may be secrets.
 */
import { dirname, isAbsolute, join } from "node:path";
import type { Cluster, User } from "@kubernetes/client-node";
import * as v from "valibot";
import { parseDocument } from "yaml";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import { nearest } from "../../schema/nearest.ts";
import { finite } from "../../schema/number.ts";

export type KubeconfigFile = { path: string; text: string };

export type Choice = {
  context: string;
  cluster: Cluster;
  /** Without its credential plugin. */
  user: User;
  exec: ExecEntry | null;
  /** Impersonation headers that the library does not send. */
  impersonate: Record<string, string>;
};
export type KubeconfigResult = { kind: "ok"; choice: Choice } | { kind: "bad"; message: string };

const text = v.pipe(v.string(), v.minLength(1));
/** YAML reads a bare `token: 0123` as a number; it is meant as text. */
const loose = v.pipe(v.union([v.string(), finite]), v.transform(String));

const ClusterEntry = v.object({
  server: text,
  "certificate-authority": v.nullish(v.string()),
  "certificate-authority-data": v.nullish(v.string()),
  "insecure-skip-tls-verify": v.nullish(v.boolean()),
  "tls-server-name": v.nullish(v.string()),
  "proxy-url": v.nullish(v.string()),
});

const Exec = v.object({
  apiVersion: text,
  command: text,
  args: v.nullish(v.array(loose), []),
  env: v.nullish(v.array(v.object({ name: text, value: loose })), []),
  installHint: v.nullish(v.string(), ""),
  interactiveMode: v.nullish(v.string()),
  provideClusterInfo: v.nullish(v.boolean(), false),
});
export type ExecEntry = v.InferOutput<typeof Exec>;

const UserEntry = v.object({
  "client-certificate": v.nullish(v.string()),
  "client-certificate-data": v.nullish(v.string()),
  "client-key": v.nullish(v.string()),
  "client-key-data": v.nullish(v.string()),
  token: v.nullish(loose),
  tokenFile: v.nullish(v.string()),
  username: v.nullish(loose),
  password: v.nullish(loose),
  exec: v.nullish(Exec),
  "auth-provider": v.nullish(v.object({ name: v.nullish(v.string()) })),
  as: v.nullish(v.string()),
  "as-uid": v.nullish(v.string()),
  "as-groups": v.nullish(v.array(v.string())),
});

const Context = v.object({ cluster: text, user: v.nullish(v.string()) });

/** Only chosen entries are checked: others may be broken. */
const Named = v.looseObject({ name: text });
const File = v.object({
  "current-context": v.nullish(v.string()),
  clusters: v.nullish(v.array(Named)),
  users: v.nullish(v.array(Named)),
  contexts: v.nullish(v.array(Named)),
});

type Kind = "cluster" | "user" | "context";
/** `at` is the file and the place in it. */
type Entry = { name: string; value: unknown; file: string; at: string };

/** Unusable input; caught only in `readKubeconfig`. */
class Bad extends Error {}

/**
 * Reads `context`, or the current context if it is `null`. Relative paths are resolved against the
 * folder of the file that names them.
 */
export async function readKubeconfig(
  files: readonly KubeconfigFile[],
  context: string | null,
): Promise<KubeconfigResult> {
  try {
    return { kind: "ok", choice: await choose(files, context) };
  } catch (cause) {
    if (cause instanceof Bad) return { kind: "bad", message: cause.message };
    throw cause;
  }
}

async function choose(files: readonly KubeconfigFile[], wanted: string | null): Promise<Choice> {
  const read = files.map((file) => ({ path: file.path, content: readFile(file) }));
  const collect = (kind: Kind): Entry[] =>
    read.flatMap(({ path, content }) =>
      (content[`${kind}s`] ?? []).map((entry, index) => {
        const at = `${path}: ${kind}s[${index}] (${quote(entry.name)})`;
        return { name: entry.name, value: entry[kind], file: path, at };
      }),
    );
  const where = files.map(({ path }) => path).join(", ");
  const current = read.map(({ content }) => content["current-context"]).find((name) => name);
  const name = wanted ?? current;
  if (name === undefined || name === null || name === "") {
    const names = listed(collect("context").map((entry) => entry.name));
    throw new Bad(`${where}: no current-context and no context was named; its contexts: ${names}`);
  }
  const contextEntry = find("context", collect("context"), name, where);
  const context = check(Context, contextEntry.value, contextEntry.at, "context");
  const cluster = checkCluster(
    find("cluster", collect("cluster"), context.cluster, contextEntry.at),
  );
  const named = context.user
    ? find("user", collect("user"), context.user, contextEntry.at)
    : { name: "nobody", value: {}, file: "", at: "" };
  const { exec, impersonate, ...user } = checkUser(named);
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const config = new KubeConfig();
  const chosen = {
    "current-context": name,
    contexts: [{ name, context: { ...context, user: named.name } }],
    clusters: [{ name: context.cluster, cluster }],
    users: [{ name: named.name, user }],
  };
  config.loadFromString(JSON.stringify(chosen));
  const [loaded, me] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (loaded === null || me === null) throw new Bad(`${contextEntry.at}: not a usable context`);
  return { context: name, cluster: loaded, user: me, exec, impersonate };
}

function readFile({ path, text: content }: KubeconfigFile): v.InferOutput<typeof File> {
  // The parser's messages quote the line, which may hold a key.
  const document = parseDocument(content, { prettyErrors: false, logLevel: "silent" });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = content.slice(0, error.pos[0]).split("\n").length;
    throw new Bad(`${path}:${line}: expected YAML (${error.code})`);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new Bad(`${path}: expected a kubeconfig, found YAML with too many aliases`);
  }
  return check(File, value ?? {}, path, "");
}

function find(kind: Kind, entries: readonly Entry[], name: string, where: string): Entry {
  const found = entries.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  const names = entries.map((entry) => entry.name);
  const near = nearest(name, names);
  const hint = near === null ? `it has ${listed(names)}` : `did you mean ${quote(near)}?`;
  throw new Bad(`${where}: no ${kind} ${quote(name)}; ${hint}`);
}

function checkCluster({ value, file, at }: Entry): v.InferOutput<typeof ClusterEntry> {
  const cluster = check(ClusterEntry, value, at, "cluster");
  const url = URL.canParse(cluster.server) ? new URL(cluster.server) : null;
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new Bad(`${at}.cluster.server: expected https://host:port`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new Bad(`${at}.cluster.server: expected an address without a password in it`);
  }
  if (cluster["proxy-url"]) {
    const hint = "reach the server directly, or tunnel to it and set tls-server-name";
    throw new Bad(`${at}.cluster.proxy-url: a proxy is not supported; ${hint}`);
  }
  const ca = material(cluster, "certificate-authority", file, `${at}.cluster`);
  if (cluster["insecure-skip-tls-verify"] === true && ca !== null) {
    const what = "insecure-skip-tls-verify and a certificate authority exclude each other";
    throw new Bad(`${at}.cluster: ${what}`);
  }
  return { ...cluster, ...ca, server: withoutEndSlash(cluster.server) };
}

function checkUser({ value, file, at }: Entry) {
  const { tokenFile, ...user } = check(UserEntry, value ?? {}, at, "user");
  const provider = user["auth-provider"];
  if (provider) {
    const name = provider.name ? ` ${quote(provider.name)}` : "";
    const hint = "Kubernetes 1.26 removed these; use an exec plugin";
    throw new Bad(`${at}.user.auth-provider${name}: not supported; ${hint}`);
  }
  const cert = material(user, "client-certificate", file, `${at}.user`);
  const key = material(user, "client-key", file, `${at}.user`);
  if ((cert === null) !== (key === null)) {
    const missing = cert === null ? "client-certificate" : "client-key";
    throw new Bad(`${at}.user: expected a client certificate and its key, found no ${missing}`);
  }
  const config = tokenFile ? { tokenFile: resolve(file, tokenFile) } : undefined;
  return {
    ...user,
    ...cert,
    ...key,
    // The file takes precedence over the inline token, as in client-go: only the file rotates.
    token: config === undefined ? user.token : undefined,
    "auth-provider": config && { name: "tokenFile", config },
    exec: user.exec ? checkExec(user.exec, file, `${at}.user.exec`) : null,
    impersonate: impersonation(user, at),
  };
}

const EXEC_VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

function checkExec(exec: ExecEntry, file: string, at: string): ExecEntry {
  if (!EXEC_VERSIONS.includes(exec.apiVersion)) {
    const wanted = EXEC_VERSIONS.join(" or ");
    throw new Bad(`${at}.apiVersion: expected ${wanted}, found ${quote(exec.apiVersion)}`);
  }
  if (exec.interactiveMode === "Always") {
    throw new Bad(`${at}.interactiveMode: Always needs a terminal, and a service has none`);
  }
  // A bare name is looked up in PATH; a path is relative to the kubeconfig, as in client-go.
  const isPath = exec.command.includes("/");
  return { ...exec, command: isPath ? resolve(file, exec.command) : exec.command };
}

/** The library sends `Impersonate-User` only. */
function impersonation(user: v.InferOutput<typeof UserEntry>, at: string) {
  const headers: Record<string, string> = {};
  if (user["as-uid"]) headers["impersonate-uid"] = user["as-uid"];
  const [group, ...more] = user["as-groups"] ?? [];
  // Each group needs its own header line, but `fetch` would join them into one name.
  if (more.length > 0) throw new Bad(`${at}.user.as-groups: expected one group at most`);
  if (group !== undefined) headers["impersonate-group"] = group;
  return headers;
}

type Holder = Readonly<Record<string, unknown>>;

/** Overrides that prefer inline data to a file, as in client-go; `null`: neither is given. */
function material(holder: Holder, field: string, file: string, at: string): Holder | null {
  const data = holder[`${field}-data`];
  if (typeof data === "string" && data !== "") {
    if (!Buffer.from(data, "base64").toString("utf8").includes("-----BEGIN ")) {
      throw new Bad(`${at}.${field}-data: expected PEM in base64`);
    }
    return { [field]: undefined };
  }
  const path = holder[field];
  return typeof path === "string" && path !== "" ? { [field]: resolve(file, path) } : null;
}

const resolve = (file: string, path: string): string =>
  isAbsolute(path) ? path : join(dirname(file), path);

function check<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  at: string,
  under: string,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = [under, v.getDotPath(issue) ?? ""].filter(Boolean).join(".");
  const place = path === "" ? at : under === "" ? `${at}: ${path}` : `${at}.${path}`;
  // Never quotes the value that was found.
  const found = issue.input === undefined ? "nothing" : kindOf(issue.input);
  throw new Bad(`${place}: expected ${expectedOf(issue)}, found ${found}`);
}

/** Type names of valibot in terms of YAML. */
const WORDS: Readonly<Record<string, string>> = {
  Object: "a mapping",
  Array: "a list",
  string: "text",
  "(string | number)": "text",
};

function expectedOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "min_length") return "text";
  // For a missing key valibot expects its quoted name, which the place already contains.
  const expected = issue.expected ?? "something else";
  return WORDS[expected] ?? (expected.startsWith('"') ? "a value" : expected);
}

function kindOf(value: unknown): string {
  if (value === null) return "nothing";
  if (value === "") return "empty text";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "a mapping" : typeof value;
}

const quote = (name: string): string => JSON.stringify(name);

/** Up to ten names; a kubeconfig of a large company has hundreds. */
function listed(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, 10).map(quote).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
