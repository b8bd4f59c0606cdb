/**
 * Keeps one access token and renews it before it expires. Several calls share one renewal. Never
 * logs or stores a token.
 */
import type { Clock } from "../../core/clock.ts";

export type Grant = { token: string; lastsMs: number };
/** No call was sent: `auth` = the credential was refused, `rate_limit` = it is tried again. */
export type Ungranted = { kind: "failed"; class: "auth" | "rate_limit"; message: string };
/** Asks for a new token. Rejects never. */
export type Source = () => Promise<Grant | Ungranted>;

/** The metadata server hands out the same token until about four minutes before its end. */
const MARGIN_MS = 225_000;

export class Tokens {
  readonly #source: Source;
  readonly #clock: Clock;
  #kept: { token: string; untilMono: number } | null = null;
  #asking: Promise<{ kind: "ok"; token: string } | Ungranted> | null = null;

  constructor(source: Source, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  async get(): Promise<{ kind: "ok"; token: string } | Ungranted> {
    const kept = this.#kept;
    if (kept !== null && this.#clock.monoMs() < kept.untilMono) {
      return { kind: "ok", token: kept.token };
    }
    this.#asking ??= this.#renew();
    return this.#asking;
  }

  /** The API refused it. */
  drop(token: string): void {
    if (this.#kept?.token === token) this.#kept = null;
  }

  async #renew(): Promise<{ kind: "ok"; token: string } | Ungranted> {
    try {
      const grant = await this.#source();
      if ("kind" in grant) return grant;
      const lastsMs = grant.lastsMs - Math.min(MARGIN_MS, grant.lastsMs / 4);
      this.#kept = { token: grant.token, untilMono: this.#clock.monoMs() + lastsMs };
      return { kind: "ok", token: grant.token };
    } finally {
      this.#asking = null;
    }
  }
}
