// Which words of a phrase are a moment: "2 hours ago", "friday 9am", "yesterday". Only found here;
// when.ts says which instant they mean. Pure.

const AMOUNT = String.raw`(?:\d+(?:\.\d+)?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half an?|a couple of)`;
const UNIT = '(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?|years?)';
const WEEKDAY = '(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tues?|wed|thu(?:rs)?|fri)';
const MONTH =
  '(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)';
const PART = '(?:morning|afternoon|evening|night)';
const TIME = String.raw`(?:\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]m)?|\d{1,2} ?[ap]m|noon|midday|midnight)(?: (?:utc|gmt))?`;
const CLOCK = String.raw`(?:at )?(?:${TIME})|at \d{1,2}(?: o'?clock)?`;
const ISO = String.raw`\d{4}-\d\d-\d\d(?:t\d\d?:\d\d(?::\d\d)?(?:z|[+-]\d\d:?\d\d)?)?|\d{4}-\d\d|\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?`;
const WRITTEN = String.raw`(?:the )?\d{1,2}(?:st|nd|rd|th)?(?: of)? ${MONTH}(?: \d{4})?|${MONTH} \d{1,2}(?:st|nd|rd|th)?(?: \d{4})?|${MONTH} \d{4}|(?:the )?\d{1,2}(?:st|nd|rd|th)`;
const DAY = `(?:last |this |on )?${WEEKDAY}|today|yesterday|(?:the )?day before yesterday|${ISO}|${WRITTEN}`;
const SPAN = `(?:last|this) (?:week|month|year)|last night|tonight|this ${PART}|yesterday ${PART}`;

const FORMS: readonly RegExp[] = [
  `${AMOUNT} ?${UNIT}(?:,? and ${AMOUNT} ?${UNIT})? ago(?: (?:${CLOCK}))?`,
  `(?:${DAY})(?: ${PART})?(?:,? (?:${CLOCK}))?`,
  `(?:${CLOCK})(?: (?:on )?(?:${DAY}))?`,
  SPAN,
].map((form) => new RegExp(`^(?:${form})$`));

// Most words can be no moment's first, and most texts have nothing of one: the forms above are slow to try.
const BEGINS = new RegExp(
  `^(?:\\d|(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|last|this|on|the|day|at|noon|midday|midnight|today|tonight|yesterday)$|${WEEKDAY}$|${MONTH}$)`,
);
const HAS = /\d|ago$|ago |day|noon|night|morning|evening|mon|tue|wed|thu|fri|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|week|year/;

/** No moment is longer than this many words. */
const LONGEST = 9;

/**
 * How many words from `start` on are one moment, as many as possible; 0 where none begins there.
 * @param words in lower case, without a possessive 's
 */
export function momentLength(words: readonly string[], start: number): number {
  if (!BEGINS.test(words[start] ?? '')) return 0;
  for (let count = Math.min(LONGEST, words.length - start); count > 0; count--) {
    const text = words.slice(start, start + count).join(' ');
    if (HAS.test(text) && FORMS.some((form) => form.test(text))) return count;
  }
  return 0;
}

const SPAN_FORM = new RegExp(`^${AMOUNT} (?:secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|weeks?|months?)$`);

/** Of "two hours" and the like, without "ago": how many words it has; 0 where none begins at `start`. */
export function spanLength(words: readonly string[], start: number): number {
  return [3, 2].find((count) => SPAN_FORM.test(words.slice(start, start + count).join(' '))) ?? 0;
}
