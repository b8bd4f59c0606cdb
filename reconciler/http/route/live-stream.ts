/**
 * The body of one live stream. Chunks are shared by all streams of a page; a reader that leaves
 * too many of them unread is dropped, and asks for the page again.
 */

/** Unread bytes, beside one chunk that is larger. */
const WAITING_BYTES_MAX = 256 * 1_024;

export class LiveStream {
  private readonly waiting: Uint8Array[] = [];
  private readonly over = Promise.withResolvers<void>();
  private bytes = 0;
  private wake = Promise.withResolvers<void>();
  private isLast = false;
  private ended = false;

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
    this.wake.resolve();
    return true;
  }

  /** Ends after this chunk. */
  finish(chunk: Uint8Array): void {
    this.send(chunk);
    this.isLast = true;
    this.wake.resolve();
  }

  /** Ends at once; what was not taken is lost. */
  end(): void {
    this.ended = true;
    this.waiting.length = 0;
    this.over.resolve();
    this.wake.resolve();
  }

  body(): ReadableStream {
    return new ReadableStream({
      type: "direct",
      pull: async (controller) => {
        while (!this.ended) {
          const chunk = this.waiting[0];
          if (chunk !== undefined) {
            const taken = Promise.all([controller.write(chunk), controller.flush()]);
            await Promise.race([taken, this.over.promise]);
            this.waiting.shift();
            this.bytes -= chunk.length;
          } else if (this.isLast) {
            break;
          } else {
            this.wake = Promise.withResolvers<void>();
            await this.wake.promise;
          }
        }
        controller.close();
      },
      cancel: () => this.end(),
    });
  }
}
