module threatrelay.test/probe

go 1.26.0
