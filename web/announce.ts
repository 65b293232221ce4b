// What a screen reader is told without moving: one polite region, emptied before it is filled, so that the same words
// are said again.

const REGION = 'announcements';

export const announcementsId = REGION;

export function announce(text: string): void {
  const region = document.getElementById(REGION);
  if (region === null) return;
  region.textContent = '';
  setTimeout(() => {
    region.textContent = text;
  }, 50);
}
