/**
 * Sessions of the console: a cookie that names a credential and an expiry, with a MAC of the
 * fleet's secret, so that every replica knows it and it survives restarts. It is valid only while
 * its credential is. Pure.
 */
import { type Authority, isSame, type Judgement } from "./auth.ts";

export const SESSION_MS = 12 * 3_600_000;

/** Bounds the work on a cookie that a stranger made. */
const CHARS_MAX = 512;

const rejected = (why: "unknown" | "expired" | "revoked", name: string | null): Judgement => {
  return { kind: "rejected", why, name };
};

export class Sessions {
  private readonly authority: Authority;

  constructor(authority: Authority) {
    this.authority = authority;
  }

  /** The value of the cookie. `proof` is the digest of the token that the reader has shown. */
  open(name: string, proof: string, now: number): string {
    const until = now + SESSION_MS;
    return `${Buffer.from(name).toString("base64url")}.${until}.${this.mac(name, proof, until)}`;
  }

  judge(cookie: string, now: number): Judgement {
    const [, encoded, end, mac] = /^([\w-]+)\.(\d{1,15})\.([\w-]{43})$/.exec(cookie) ?? [];
    if (cookie.length > CHARS_MAX || encoded === undefined) return rejected("unknown", null);
    if (end === undefined || mac === undefined) return rejected("unknown", null);
    const name = Buffer.from(encoded, "base64url").toString();
    const until = Number(end);
    for (const { principal, proof } of this.authority.proofs(name, now)) {
      if (!isSame(mac, this.mac(name, proof, until))) continue;
      return until <= now ? rejected("expired", name) : { kind: "known", principal };
    }
    return rejected("revoked", null);
  }

  /** What a form of this session must carry; `""` is the session of a fleet without log-in. */
  csrf(cookie: string): string {
    return this.authority.sign(`csrf\n${cookie}`);
  }

  private mac(name: string, proof: string, until: number): string {
    return this.authority.sign(`session\n${until}\n${proof}\n${name}`);
  }
}
