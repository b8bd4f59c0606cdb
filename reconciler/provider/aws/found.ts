/** A key that was found, where, and how long it lasts. Pure. */
import { type Failed, failed } from "./failure.ts";
import type { AwsKey } from "./sign.ts";

export type Found = {
  kind: "ok";
  key: AwsKey;
  source: string;
  /** `null`: not known, so its source is read again from time to time; infinite: until refused. */
  expiresAtMs: number | null;
};

/** A header takes nothing else, and the message must not repeat the key. */
export function found(key: AwsKey, source: string, expiresAtMs: number | null): Found | Failed {
  const isSound = /^[\x21-\x7e]+$/.test(`${key.accessKeyId}${key.sessionToken ?? ""}`);
  if (!isSound) return failed("auth", `the key of ${source} is not printable ASCII`);
  return { kind: "ok", key, source, expiresAtMs };
}
