/** Signs an HTTP request for AWS: Signature Version 4 (docs/reference/aws.md#requests). Pure. */
import { createHash, createHmac } from "node:crypto";

export type AwsKey = { accessKeyId: string; secretKey: string; sessionToken: string | null };

type Request = { method: string; url: URL; headers: Record<string, string>; body: string };

/** The request's headers, with those that prove who sent it. */
export function sign(
  { method, url, headers, body }: Request,
  scope: { service: string; region: string; atMs: number },
  key: AwsKey,
): Record<string, string> {
  const at = new Date(scope.atMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const token = key.sessionToken === null ? {} : { "x-amz-security-token": key.sessionToken };
  const all: Record<string, string> = { ...headers, host: url.host, "x-amz-date": at, ...token };
  const names = Object.keys(all).sort();
  const signed = names.join(";");
  const canonical = [
    method,
    url.pathname,
    "",
    ...names.map((name) => `${name}:${all[name]?.trim() ?? ""}`),
    "",
    signed,
    sha256(body),
  ].join("\n");
  const parts = [at.slice(0, 8), scope.region, scope.service, "aws4_request"];
  const text = ["AWS4-HMAC-SHA256", at, parts.join("/"), sha256(canonical)].join("\n");
  const start: string | Buffer = `AWS4${key.secretKey}`;
  const secret = parts.reduce<string | Buffer>((from, part) => hmac(from, part), start);
  const credential = `Credential=${key.accessKeyId}/${parts.join("/")}`;
  const proof = `SignedHeaders=${signed}, Signature=${hmac(secret, text).toString("hex")}`;
  return { ...all, authorization: `AWS4-HMAC-SHA256 ${credential}, ${proof}` };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac("sha256", key).update(text).digest();
