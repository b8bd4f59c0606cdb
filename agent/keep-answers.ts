/**
 * Keeps the answers to a question that the text alone decides, where a few texts are asked for in
 * every round. Kernel lines can hold any text, so the number that is kept is bounded: beyond it all
 * are forgotten. Pure but for what it keeps.
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
