/**
 * The body of one live stream. Chunks are shared by all streams of a page; a reader that leaves
 * too many of them unread is dropped, and asks for the page again.
 */

/** Unread bytes, beside one chunk that is larger. */
const WAITING_BYTES_MAX = 256 * 1_024;

export class LiveStream {
  private readonly waiting: Uint8Array[] = [];
  private bytes = 0;
  /** Ends what `body` waits for: a chunk, or that one is taken. */
  private wake: () => void = () => undefined;
  private isLast = false;
  private ended = false;
  private oldest: Uint8Array | null = null;

  get isOpen(): boolean {
    return !this.ended && !this.isLast;
  }

  /** False if the stream has ended, or ends now because its reader is too slow. */
  send(chunk: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.bytes > 0 && this.bytes + chunk.length > WAITING_BYTES_MAX) {
      this.end();
      return false;
    }
    this.waiting.push(chunk);
    this.bytes += chunk.length;
    if (this.waiting.length === 1) this.wake();
    return true;
  }

  /** True if the chunk that waits longest has waited since the call before. */
  isStuck(): boolean {
    const [oldest = null] = this.waiting;
    const stuck = oldest !== null && oldest === this.oldest;
    this.oldest = oldest;
    return stuck;
  }

  /** Ends after this chunk. */
  finish(chunk: Uint8Array): void {
    this.send(chunk);
    this.isLast = true;
    if (this.waiting.length === 0) this.wake();
  }

  /** Ends at once; what was not taken is lost. */
  end(): void {
    this.ended = true;
    this.waiting.length = 0;
    this.wake();
  }

  body(): ReadableStream {
    return new ReadableStream({
      type: "direct",
      pull: async (controller) => {
        while (!this.ended) {
          const [chunk] = this.waiting;
          if (chunk !== undefined) {
            // A promise only while the reader is slow: then the end must not wait for it.
            const taken = [controller.write(chunk), controller.flush()];
            if (taken.some((one) => one instanceof Promise)) await this.until(Promise.all(taken));
            if (this.ended) break;
            this.waiting.shift();
            this.bytes -= chunk.length;
          } else if (this.isLast) {
            break;
          } else {
            await this.until(null);
          }
        }
        controller.close();
      },
      cancel: () => this.end(),
    });
  }

  /** Resolves with `work` or when woken. A race would keep each loser until the stream ends. */
  private until(work: Promise<unknown> | null): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
      work?.then(
        () => resolve(),
        () => this.end(),
      );
    });
  }
}
