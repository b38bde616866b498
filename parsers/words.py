"""The words of task files: headers, status words, emoji and priorities, as plain tables of data.

Every table is keyed by the *folded* word (:func:`fold`).  A new spelling or language is a new row
here and nowhere else.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from typing import Final

from syncd.schemas.card import Status

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GAPS: Final = re.compile(r"[\s_-]+")
_MARKS: Final = re.compile(r"[*`~]|^_+|_+$|\ufe0f")

PICTOGRAPH: Final = r"[\u2190-\u21ff\u2300-\u23ff\u25a0-\u25ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]\ufe0f?"
"""One emoji or symbol, with its variation selector."""

_SIGNS: Final = re.compile(PICTOGRAPH)


def fold(word: str) -> str:
    """Return the form in which two spellings of a word are equal: case, ``-``, ``_``, space and marks gone."""
    return _GAPS.sub(" ", _MARKS.sub("", word)).strip().casefold()


def fold_header(word: str) -> str:
    """Return :func:`fold` of a header or key, with ``camelCase`` taken apart and emoji taken off first."""
    return fold(_CAMEL.sub(" ", word if word.isascii() else _SIGNS.sub(" ", word))).rstrip(" :.")


UNKNOWN_STATUS_HINT: Final = (
    "Write not-started, in-progress, blocked or done, or give the word a state under 'statuses:' in syncd.yaml."
)

_NUMBER_HEADERS: Final = (
    "nr",
    "no",
    "№",
    "n°",
    "nº",
    "ref",
    "réf",
    "序号",
    "番号",
    "번호",
    "номер",
    "número",
    "numero",
    "numéro",
)
_TASK_HEADERS: Final = ("ticket", "任务", "aufgabe", "tâche", "tarea")

HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("id", "task id", "task", "key", "#", *_NUMBER_HEADERS, "编号", "任务id", "任务编号", *_TASK_HEADERS),
    "title": (
        *("title", "description", "summary", "task", "workstream", "name"),
        *("任务", "标题", "描述", "タスク", "タイトル", "件名", "작업", "제목", "задача"),
        *("aufgabe", "titel", "beschreibung", "tâche", "tache", "titre", "tarea", "título", "titulo"),
        *("tarefa", "attività", "titolo", "taak", "omschrijving"),
        *("zadanie", "tytuł", "opis", "название", "описание", "görev", "başlık"),
    ),
    "status": (
        *("status", "state"),
        *("状态", "当前状态", "狀態", "ステータス", "状態", "상태", "статус"),
        *("zustand", "stand", "statut", "état", "etat", "estado", "situação", "stato", "stan", "durum"),
    ),
    "phase": ("milestone", "phase", "epic", "阶段", "里程碑", "フェーズ", "단계", "meilenstein", "fase", "hito"),
    "priority": (
        *("priority", "prio", "p", "优先级", "優先度", "우선순위", "приоритет"),
        *("priorität", "priorité", "prioridad", "prioridade", "priorità", "priorytet", "prioriteit", "öncelik"),
    ),
    "dependsOn": (
        *("depends on", "deps", "dependencies", "blocked by", "after", "depends", "dependency"),
        *("依赖", "依存", "依存関係", "의존성", "зависимости"),
        *("abhängig von", "abhängigkeiten", "dépend de", "dépendances", "depende de", "dependencias"),
        *("dependências", "dipendenze", "zależności", "afhankelijkheden", "зависит от"),
    ),
    "owner": (
        *("claimed by", "claim owner", "owner"),
        *("负责人", "担当", "担当者", "담당자", "zuständig", "responsable", "responsável", "responsabile"),
    ),
    "acceptance": ("acceptance", "acceptance criteria", "验收标准", "受け入れ基準", "akzeptanzkriterien"),
    "body": ("body", "details", "详情", "詳細"),
}
"""Card field -> header words, the first that stands winning; what is left over is ``extra``.

``owner`` is the place that is ``claimOwner`` while the card is claimed, and else ``extra.owner``.
"""

UNSURE_ID_HEADERS: Final = frozenset({"task", "#", *_NUMBER_HEADERS, *_TASK_HEADERS})
"""Headers that are an id column only when their cells look like ids."""

DONE_HEADERS: Final = frozenset({"done", "completed", "complete", "finished", "erledigt", "fertig", "fait", "hecho"})
"""Headers that are a status column of a table without another, when most of what stands below them is a state."""

EMPTY: Final = frozenset({"", "—", "–", "-", "n/a", "none"})
"""What an empty cell may hold, in lower case."""

EMPTY_VALUES: Final = EMPTY | {"[]", "null", "~", "{}"}
"""The same where values are written as in YAML."""

SUMMARY_IDS: Final = frozenset({"total", "totals", "sum", "summe", "gesamt", "合计", "总计"})
"""Words in an id cell that mark a row as the sum of the others."""

DEFAULT_WORDS: Final = {
    Status.READY: "not-started",
    Status.CLAIMED: "in-progress",
    Status.BLOCKED: "blocked",
    Status.DONE: "done",
}
"""The word written where the file shows no habit."""

BLOCKED_SYNONYMS: Final = (
    *("blocked", "waiting", "on hold", "paused", "阻塞", "已阻塞", "暂停", "保留", "ブロック", "보류"),
    *("заблокировано", "blockiert", "wartet", "bloqué", "en attente", "bloqueado", "bloqueada"),
    *("en espera", "bloccato", "bloqueada", "em espera", "in attesa", "zablokowane", "geblokkeerd"),
    *("blocat", "engellendi", "на паузе", "ожидает", "stuck"),
)
"""Words that say *blocked* and no more: only these are ever written for a card that became blocked
(``needs-qa`` or ``cancelled`` would claim something that nobody decided)."""

_STATUS_WORDS: Final[dict[Status, tuple[str, ...]]] = {
    Status.READY: (
        *("not started", "todo", "to do", "open", "pending", "ready", "backlog", "planned", "planning complete"),
        *("queued", "未开始", "待办", "待处理", "待开始", "未着手", "未対応", "대기", "예정", "не начато"),
        *("new", "unstarted", "not done", "upcoming", "scheduled", "ready for dev", "ready for development"),
        *("selected for development", "待處理", "未開始", "待辦", "к выполнению", "открыто", "ожидание"),
        *("offen", "geplant", "nicht begonnen", "à faire", "a faire", "pas commencé", "pendiente", "por hacer"),
        *("sin empezar", "pendente", "a fazer", "não iniciado", "da fare", "da iniziare"),
        *("do zrobienia", "te doen", "yapılacak", "bekliyor"),
    ),
    Status.CLAIMED: (
        *("in progress", "doing", "wip", "started", "claimed", "active", "running"),
        *("进行中", "開発中", "进行", "進行中", "作業中", "対応中", "진행 중", "진행중", "в работе"),
        *("in arbeit", "in bearbeitung", "en cours", "en curso", "en progreso", "em andamento", "em progresso"),
        *("in corso", "ongoing", "in development", "in flight", "under way", "underway", "begonnen"),
        *("en proceso", "em curso", "w trakcie", "w toku", "bezig", "devam ediyor", "в процессе", "выполняется"),
        *("着手中", "実施中"),
    ),
    Status.BLOCKED: (
        *BLOCKED_SYNONYMS,
        *("deferred", "needs qa", "review", "in review", "failed", "error"),
        *("cancelled", "canceled", "wontfix", "won't fix", "won't do", "skipped", "rejected", "abandoned", "dropped"),
        *("obsolete", "superseded", "duplicate", "code review", "ready for review", "ready for qa", "ready for test"),
        *("testing", "in testing", "qa", "in qa", "已取消", "レビュー中", "annulé", "cancelado", "abgebrochen"),
    ),
    Status.DONE: (
        *("done", "complete", "completed", "closed", "shipped", "merged", "verified"),
        *("已完成", "完成", "完了", "済", "完료", "완료", "готово", "erledigt", "fertig", "abgeschlossen"),
        *("finished", "resolved", "fixed", "implemented", "released", "deployed", "delivered", "landed"),
        *("terminé", "terminée", "fait", "faite", "fini", "hecho", "hecha", "terminado", "terminada", "completado"),
        *("completada", "concluído", "concluída", "concluido", "feito", "fatto", "completato", "zrobione", "gotowe"),
        *("zakończone", "klaar", "gereed", "afgerond", "tamamlandı", "выполнено", "сделано", "закрыто", "завершено"),
    ),
}

STATUS_WORDS: Final[dict[str, Status]] = {word: state for state, words in _STATUS_WORDS.items() for word in words}
"""Folded status word -> state."""

CELL_WORDS: Final = frozenset(
    ("new", "qa", "testing", "fixed", "implemented", "released", "deployed", "delivered", "duplicate")
)
"""Words that are a status only beside a card: as a heading or an item they name a part of the work."""

SECTION_WORDS: Final[dict[str, Status]] = {
    "declined": Status.BLOCKED,
    "pending validation": Status.BLOCKED,
    "in validation": Status.BLOCKED,
    "now": Status.CLAIMED,
    "next": Status.READY,
    "later": Status.READY,
}
"""Words that are a status only as the heading of a board's section."""

_EMOJI: Final[dict[Status, str]] = {
    Status.READY: "🔲⬜☐◻⏳⚪📋🆕○",
    Status.CLAIMED: "🚧🔄🏗🔨🟡🏃►▶◐",
    Status.BLOCKED: "⛔❌🚫🛑🔴⏸🔒✖✗✘",
    Status.DONE: "✅✔☑🟢🎉✓",
}

EMOJI_STATES: Final[dict[str, Status]] = {sign: state for state, signs in _EMOJI.items() for sign in signs}
"""Emoji -> the state that it shows."""

DEFAULT_EMOJI: Final = {state: signs[0] for state, signs in _EMOJI.items()}

MARK_STATES: Final[dict[str, Status]] = {
    " ": Status.READY,
    "x": Status.DONE,
    "X": Status.DONE,
    "~": Status.CLAIMED,
    "/": Status.CLAIMED,
    ">": Status.CLAIMED,
    "!": Status.BLOCKED,
    "?": Status.BLOCKED,
    "-": Status.BLOCKED,
    "✓": Status.DONE,
    "✔": Status.DONE,
}
"""Checkbox mark -> state."""

DEFAULT_MARKS: Final = {Status.READY: " ", Status.CLAIMED: "~", Status.BLOCKED: "!", Status.DONE: "x"}

HABITUAL_MARKS: Final = frozenset("~/xX! ✓✔")
"""Marks that say their state and no more; the others (declined, asked, forwarded) are read and never written."""

PRIORITY_SCALES: Final[tuple[dict[str, int], ...]] = (
    {
        "lowest": -2,
        "low": -1,
        "medium": 0,
        "normal": 0,
        "high": 1,
        "urgent": 2,
        "highest": 2,
        "critical": 3,
        "blocker": 3,
    },
    {"trivial": -2, "minor": -1, "major": 1, "critical": 3, "blocker": 3},
    {"low": -1, "med": 0, "high": 1},
    {"低": -1, "中": 0, "普通": 0, "高": 1, "最高": 2, "紧急": 2, "緊急": 2},
    {"낮음": -1, "보통": 0, "높음": 1, "긴급": 2},
    {"niedrig": -1, "gering": -1, "mittel": 0, "normal": 0, "hoch": 1, "dringend": 2, "kritisch": 3},
    {"basse": -1, "moyenne": 0, "normale": 0, "haute": 1, "urgente": 2, "critique": 3},
    {"baja": -1, "media": 0, "alta": 1, "urgente": 2, "crítica": 3},
    {"baixa": -1, "média": 0, "alta": 1, "urgente": 2, "crítica": 3},
    {"bassa": -1, "media": 0, "alta": 1, "urgente": 2, "critica": 3},
    {"niski": -1, "średni": 0, "wysoki": 1, "pilny": 2, "krytyczny": 3},
    {"laag": -1, "gemiddeld": 0, "hoog": 1, "dringend": 2},
    {"düşük": -1, "orta": 0, "yüksek": 1},
    {"низкий": -1, "средний": 0, "высокий": 1, "срочный": 2, "критический": 3},
)
"""The words of one language each, lowest first; of words for one number the first is written."""

PRIORITY_WORDS: Final[dict[str, int]] = {word: number for scale in PRIORITY_SCALES for word, number in scale.items()}
"""Folded priority word -> number."""

PRIORITY_SIGNS: Final[dict[str, int]] = {"⏬": -2, "🔽": -1, "🔼": 0, "⏫": 1, "🔺": 2}
