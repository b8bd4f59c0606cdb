/**
 * Memoises a function of a text. Kernel lines can hold any text, so the cache is bounded: when it
 * is full, it is cleared.
 */
const KEPT_MAX = 256;

export function keepAnswers<Answer extends object | string | null>(
  answer: (text: string) => Answer,
): (text: string) => Answer {
  const kept = new Map<string, Answer>();
  return (text) => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    if (kept.size >= KEPT_MAX) kept.clear();
    const fresh = answer(text);
    kept.set(text, fresh);
    return fresh;
  };
}
