/**
 * Places of callers that follow something as it grows. One credential has a part of them, so that
 * no reader keeps out the others.
 */
import { Places } from "../../core/turn/gate.ts";
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
  private readonly places = new Places({ own: OWN_MAX, all: FOLLOWERS_MAX });
  private readonly what: string;

  /** `what` is what they follow, for messages. */
  constructor(what: string) {
    this.what = what;
  }

  /** Takes a place of `owner`, the name of a credential; the returned function gives it back. */
  take(owner: string): () => void {
    const leave = this.places.take(owner);
    if (leave === null) throw this.refusal(owner);
    return leave;
  }

  /** Throws if there is no place for `owner`. */
  check(owner: string): void {
    if (this.places.full(owner) !== null) throw this.refusal(owner);
  }

  private refusal(owner: string): Refusal {
    const isOwn = this.places.full(owner) === "own";
    const whose = isOwn ? `${owner} follows ${OWN_MAX}` : `${FOLLOWERS_MAX} callers follow`;
    const message = `${whose} ${this.what} already; close one or retry later`;
    return new Refusal("rate_limited", message);
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
