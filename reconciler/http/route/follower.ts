/**
 * Places of callers that follow something as it grows. One credential has a part of them, so that
 * no reader keeps out the others.
 */
import { Refusal } from "./request.ts";

const FOLLOWERS_MAX = 64;
const OWN_MAX = 16;

/** Places by what is followed. */
export type Followed = { followers: Record<"workflows" | "logs" | "pools", Followers> };

export const openFollowed = (): Followed => {
  const [workflows, logs] = [new Followers("workflows"), new Followers("logs")];
  return { followers: { workflows, logs, pools: new Followers("pools") } };
};

export class Followers {
  private readonly byOwner = new Map<string, number>();
  private count = 0;
  private readonly what: string;

  /** `what` is what they follow, for messages. */
  constructor(what: string) {
    this.what = what;
  }

  /** Takes a place of `owner`, the name of a credential; the returned function gives it back. */
  take(owner: string): () => void {
    this.check(owner);
    this.add(owner, 1);
    let held = true;
    return () => {
      if (held) this.add(owner, -1);
      held = false;
    };
  }

  /** Throws if there is no place for `owner`. */
  check(owner: string): void {
    const own = this.byOwner.get(owner) ?? 0;
    if (own < OWN_MAX && this.count < FOLLOWERS_MAX) return;
    const whose = own < OWN_MAX ? `${FOLLOWERS_MAX} callers follow` : `${owner} follows ${OWN_MAX}`;
    throw new Refusal("rate_limited", `${whose} ${this.what} already; close one or retry later`);
  }

  private add(owner: string, sign: 1 | -1): void {
    this.count += sign;
    const own = (this.byOwner.get(owner) ?? 0) + sign;
    if (own > 0) this.byOwner.set(owner, own);
    else this.byOwner.delete(owner);
  }
}

/** Takes its place with the first slice: nothing reads the body of an answer to HEAD. */
export async function* counted(
  slices: AsyncIterable<string>,
  take: () => () => void,
): AsyncGenerator<string> {
  const leave = take();
  try {
    yield* slices;
  } finally {
    leave();
  }
}
