/**
 * Keeps one access token and renews it before it expires. Several calls share one renewal. Never
 * logs or stores a token.
 */
import type { Clock } from "../core/clock.ts";

export type Grant = { token: string; lastsMs: number };
/** No call was sent: `auth` = the credential was refused, `rate_limit` = it is tried again. */
export type Ungranted = { kind: "failed"; class: "auth" | "rate_limit"; message: string };
/** Asks for a new token. Rejects never. */
export type Source = () => Promise<Grant | Ungranted>;

/** The metadata server hands out the same token until about four minutes before its end. */
const MARGIN_MS = 225_000;
/** A token that still lasts this long stays in use while its renewal fails. */
const LAST_MS = 15_000;
const PAUSE_MS = 10_000;

type Kept = { token: string; renewMono: number; endsMono: number };

export class Tokens {
  readonly #source: Source;
  readonly #clock: Clock;
  #kept: Kept | null = null;
  #asking: Promise<{ kind: "ok"; token: string } | Ungranted> | null = null;

  constructor(source: Source, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  async get(): Promise<{ kind: "ok"; token: string } | Ungranted> {
    const kept = this.#kept;
    if (kept !== null && this.#clock.monoMs() < kept.renewMono) {
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
      const nowMono = this.#clock.monoMs();
      if ("kind" in grant) {
        const kept = this.#kept;
        if (kept === null || kept.endsMono - nowMono < LAST_MS) return grant;
        this.#kept = { ...kept, renewMono: nowMono + PAUSE_MS };
        return { kind: "ok", token: kept.token };
      }
      const { token, lastsMs } = grant;
      const renewMono = nowMono + lastsMs - Math.min(MARGIN_MS, lastsMs / 4);
      this.#kept = { token, renewMono, endsMono: nowMono + lastsMs };
      return { kind: "ok", token };
    } finally {
      this.#asking = null;
    }
  }
}
