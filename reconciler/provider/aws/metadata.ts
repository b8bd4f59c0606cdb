/**
 * Credentials that a machine or container is given: the instance metadata service, version 2, and
 * the container endpoint of ECS and EKS.
 *
 * Adapter: files, network.
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { withoutEndSlash } from "../../../schema/end-slash.ts";
import { type Failed, failed } from "./failure.ts";
import type { Found } from "./found.ts";
import { type HttpRequest, type Reply, send } from "./http.ts";
import { parseInstant } from "../../../schema/instant.ts";

type Env = Readonly<Record<string, string | undefined>>;

const IMDS = "http://169.254.169.254";
const CONTAINER = "http://169.254.170.2";
/** Hosts that may be asked without TLS: this machine, ECS and EKS. */
const PLAIN_HOSTS =
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|169\.254\.170\.(2|23)|\[fd00:ec2::23\])$/;
/** Elsewhere than on AWS the address does not answer. */
const CALL_MS = 1_000;

const Given = v.object({
  AccessKeyId: v.string(),
  SecretAccessKey: v.string(),
  Token: v.string(),
  Expiration: v.pipe(
    v.string(),
    v.check((text) => !Number.isNaN(parseInstant(text))),
  ),
});

/** `null`: there is no metadata service here, or the machine has no role. */
export async function instanceKey(env: Env): Promise<Found | Failed | null> {
  const base = withoutEndSlash(env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] || IMDS);
  if (!URL.canParse(base)) {
    return failed("auth", "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL");
  }
  const ask = (method: "GET" | "PUT", path: string, headers: Record<string, string>) =>
    ask1({ method, url: new URL(`${base}/latest/${path}`), headers });
  const begun = await ask("PUT", "api/token", { "x-aws-ec2-metadata-token-ttl-seconds": "300" });
  if (begun.kind === "failed" || begun.status !== 200) return null;
  const headers = { "x-aws-ec2-metadata-token": begun.text };
  const path = "meta-data/iam/security-credentials/";
  const role = await ask("GET", path, headers);
  if (role.kind === "failed") return { ...role, class: "unsent" };
  const name = role.text.split("\n")[0]?.trim() ?? "";
  if (role.status !== 200 || !/^[\w+=,.@-]+$/.test(name)) return null;
  return readKey(await ask("GET", `${path}${name}`, headers), `instance role ${name}`);
}

/** `null`: the environment names no container endpoint. */
export async function containerKey(env: Env): Promise<Found | Failed | null> {
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] || null;
  const full = relative === null ? env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] || null : null;
  if (relative === null && full === null) return null;
  let url: URL;
  try {
    url = full === null ? new URL(relative ?? "", CONTAINER) : new URL(full);
  } catch {
    return failed("auth", "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL");
  }
  if (url.protocol !== "https:" && !PLAIN_HOSTS.test(url.hostname)) {
    return failed("auth", "AWS_CONTAINER_CREDENTIALS_FULL_URI needs https");
  }
  const file = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] || null;
  let token = env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "";
  try {
    if (file !== null) token = readFileSync(file, "utf8").trim();
  } catch {
    return failed("auth", `the container's token ${file} cannot be read`);
  }
  const headers: Record<string, string> = token === "" ? {} : { authorization: token };
  return readKey(await ask1({ method: "GET", url, headers }), "the container's role");
}

function ask1(request: Pick<HttpRequest, "method" | "url" | "headers">): Promise<Reply | Failed> {
  return send({ ...request, what: "credentials", body: null, limitMs: CALL_MS });
}

function readKey(reply: Reply | Failed, source: string): Found | Failed {
  if (reply.kind === "failed") return { ...reply, class: "unsent" };
  const read = v.safeParse(v.pipe(v.string(), v.parseJson(), Given), reply.text);
  if (reply.status !== 200 || !read.success) {
    const cls = reply.status === 401 || reply.status === 403 ? "auth" : "unsent";
    return failed(cls, `${source}: no credentials in the answer (HTTP ${reply.status})`);
  }
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretKey, Token, Expiration } = read.output;
  const key = { accessKeyId, secretKey, sessionToken: Token };
  return { kind: "ok", key, source, expiresAtMs: parseInstant(Expiration) };
}
