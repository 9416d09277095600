module github.com/segship/segship/languages/go

go 1.19
